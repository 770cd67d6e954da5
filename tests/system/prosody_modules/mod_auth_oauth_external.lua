-- Authentication by an OAuth server, written for authbridge's tests from the wire contract alone:
-- Debian has no package of the community module of this name that runs on its Prosody.
--
--   oauth_external_token_endpoint       a password is exchanged for an access token here (PLAIN)
--   oauth_external_validation_endpoint  tells whose an access token is (PLAIN, OAUTHBEARER)
--   oauth_external_client_id            in the form of the first, as is the next
--   oauth_external_client_secret
--   oauth_external_username_field       the member of the second's answer that has the user's name
--
-- The parameters of the form go out in whatever order pairs() gives, as with the real one; the user's
-- name goes without its escapes, and comes back to get them again.
--
-- Prosody 0.12 knows no OAUTHBEARER (RFC 7628), so the mechanism is here as well.

local async = require "util.async";
local http = require "net.http";
local jid = require "util.jid";
local json = require "util.json";
local sasl = require "util.sasl";

local token_url = module:get_option_string("oauth_external_token_endpoint");
local validation_url = module:get_option_string("oauth_external_validation_endpoint");
local client_id = module:get_option_string("oauth_external_client_id");
local client_secret = module:get_option_string("oauth_external_client_secret");
local field = module:get_option_string("oauth_external_username_field", "preferred_username");

local client = http.default:new({ connection_pooling = true });

-- Status and decoded body; 0 where there was no answer.
local function ask(url, form, token)
	local request = { headers = { Accept = "application/json" } };
	if form then
		request.headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8";
		request.body = http.formencode(form);
	else
		request.headers["Authorization"] = "Bearer "..token;
	end
	local wait, done = async.waiter();
	local status, said = 0, nil;
	client:request(url, request, function (body, code)
		status = code;
		said = json.decode(body);
		done();
	end);
	wait();
	module:log("info", "%s: %s", form and "token" or "userinfo", tostring(status));
	return status, said;
end

local function good(status, said)
	return status >= 200 and status <= 299 and type(said) == "table";
end

-- The localpart, or nil and what the client is told.
local function whose(token)
	local status, said = ask(validation_url, nil, token);
	if good(status, said) and type(said[field]) == "string" then
		return jid.escape(said[field]);
	end
	return nil, type(said) == "table" and said or { status = "server_error" };
end

local function log_in(self, user, password)
	local status, said = ask(token_url, {
		grant_type = "password";
		client_id = client_id;
		client_secret = client_secret;
		username = jid.unescape(user);
		password = password;
		scope = "openid";
	});
	if not good(status, said) or tostring(said.token_type):lower() ~= "bearer" then
		return false, nil;
	end
	local found = validation_url and whose(said.access_token) or jid.escape(jid.unescape(user));
	if validation_url and not found then
		return false, nil;
	end
	self.username = found;
	return true, true;
end

sasl.registerMechanism("OAUTHBEARER", { "oauthbearer" }, function (self, message)
	if message == "\1" then -- the client has seen why
		return "failure", "not-authorized";
	end
	local token = message:match("^n,[^\1]*\1auth=[Bb]earer ([^\1]+)\1.*\1$");
	if not token then
		return "failure", "malformed-request";
	end
	local user, why = self.profile.oauthbearer(token);
	if user then
		self.username = user;
		return "success";
	end
	return "challenge", json.encode({ status = why.status or "invalid_token", scope = why.scope });
end);

local provider = {};

-- Everybody whom it may let in exists.
function provider.user_exists()
	return true;
end

function provider.set_password()
	return nil, "not supported";
end

provider.create_user = provider.set_password;
provider.delete_user = provider.set_password;
provider.test_password = provider.set_password;

function provider.get_sasl_handler()
	local profile = {};
	if token_url then
		profile.plain_test = log_in;
	end
	if validation_url then
		profile.oauthbearer = whose;
	end
	return sasl.new(module.host, profile);
end

module:provides("auth", provider);
