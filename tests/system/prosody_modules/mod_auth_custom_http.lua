-- Authentication by a POST of JSON, written for authbridge's tests from the wire contract alone:
-- Debian has no package of the community module of this name.
--
--   auth_custom_http = { post_url = "http://…" }
--
-- The body "true" is a yes, whatever the status. LuaSocket does the request, which stops all of
-- Prosody meanwhile; it calls the body a form, and sends the URL's user and password as Basic.

local json = require "util.json";
local new_sasl = require "util.sasl".new;

prosody.unlock_globals();
local http = require "socket.http";
prosody.lock_globals();

local url = module:get_option("auth_custom_http", {}).post_url;

local provider = {};

function provider.test_password(user, password)
	local body, status = http.request(url, json.encode({ username = user, password = password }));
	module:log("info", "POST for %s: %s", user, tostring(status));
	return body == "true";
end

-- It has no way to ask.
function provider.user_exists()
	return true;
end

function provider.set_password()
	return nil, "not supported";
end

provider.create_user = provider.set_password;
provider.delete_user = provider.set_password;

function provider.get_sasl_handler()
	return new_sasl(module.host, {
		plain_test = function (_, user, password)
			return provider.test_password(user, password), true;
		end;
	});
end

module:provides("auth", provider);
