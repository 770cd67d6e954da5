-- Authentication by the status of a GET, written for authbridge's tests from the wire contract alone:
-- Debian has no package of the community module of this name.
--
--   http_auth_url   the address; $host is replaced by the VirtualHost, as it is
--
-- User and password go as Authorization: Basic. Any 2xx is a yes, whatever the body.

local async = require "util.async";
local base64 = require "util.encodings".base64.encode;
local http = require "net.http";
local new_sasl = require "util.sasl".new;

local host = module.host;
local url = module:get_option_string("http_auth_url", ""):gsub("$host", host);

local provider = {};

function provider.test_password(user, password)
	local wait, done = async.waiter();
	local status = 0;
	local headers = { Authorization = "Basic "..base64(user..":"..password) };
	http.request(url, { headers = headers }, function (_, code)
		status = code;
		done();
	end);
	wait();
	module:log("info", "GET for %s: %s", user, tostring(status));
	return status >= 200 and status <= 299;
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
	return new_sasl(host, {
		plain_test = function (_, user, password)
			return provider.test_password(user, password), true;
		end;
	});
end

module:provides("auth", provider);
