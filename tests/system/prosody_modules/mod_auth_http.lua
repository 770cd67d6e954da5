-- Authentication by HTTP, written for authbridge's tests from the wire contract alone: Debian has
-- no package of the community module of this name.
--
--   http_auth_url           base address; $host is replaced by the VirtualHost
--   http_auth_credentials   "user:password", sent as Authorization: Basic
--   http_auth_check_method  "GET" (what the community module does) or "POST"
--
-- The parameters of a request go out in whatever order pairs() gives, as with the real one.

local async = require "util.async";
local base64 = require "util.encodings".base64.encode;
local http = require "net.http";
local new_sasl = require "util.sasl".new;

local host = module.host;
local base_url = module:get_option_string("http_auth_url", ""):gsub("$host", host):gsub("/$", "");
local credentials = module:get_option_string("http_auth_credentials");
local check_method = module:get_option_string("http_auth_check_method", "GET");

local function call(method, verb, user, password)
	local form = http.formencode({ user = user, server = host, pass = password });
	local url = base_url.."/"..verb;
	local request = { method = method, headers = {} };
	if credentials then
		request.headers["Authorization"] = "Basic "..base64(credentials);
	end
	if method == "POST" then
		request.body = form;
		request.headers["Content-Type"] = "application/x-www-form-urlencoded";
	else
		url = url.."?"..form;
	end
	local wait, done = async.waiter();
	local status, content = 0, nil;
	http.request(url, request, function (body, code)
		status, content = code, body;
		done();
	end);
	wait();
	-- The body may be a message of net.http (status 0), never what was sent.
	module:log("info", "%s %s for %s: %s", method, verb, user, tostring(status));
	return status, content;
end

local function says_true(status, body)
	return status == 200 and body == "true";
end

local function written(status)
	return status == 200 or status == 201 or status == 204;
end

local provider = {};

function provider.test_password(user, password)
	return says_true(call(check_method, "check_password", user, password));
end

function provider.user_exists(user)
	return says_true(call("GET", "user_exists", user));
end

function provider.set_password(user, password)
	if written((call("POST", "set_password", user, password))) then
		return true;
	end
	return nil, "password not changed";
end

function provider.create_user(user, password)
	if (call("POST", "register", user, password)) == 201 then
		return true;
	end
	return nil, "user not created";
end

function provider.delete_user(user)
	if written((call("POST", "remove_user", user))) then
		return true;
	end
	return nil, "user not removed";
end

function provider.get_sasl_handler()
	return new_sasl(host, {
		plain_test = function (_, user, password)
			return provider.test_password(user, password), true;
		end;
	});
end

module:provides("auth", provider);
