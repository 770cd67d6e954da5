-- Logins of this VirtualHost are checked by authbridge, over its listen.http.
--
-- Tried with Prosody 0.12.3; of Prosody nothing is used that 13 has not as well, and what may be
-- missing is looked for, never a version. README.md beside this file has every option.
--
--   bridge.lib.lua   what is asked of authbridge, and what its answers mean
--   browser.lib.lua  the cookie of a session that came by WebSocket or BOSH, and from which page
--   sasl.lib.lua     PLAIN, EXTERNAL and OAUTHBEARER
--
-- Why no util.sasl: it has a yes and a no for a password, and an outage is neither.

-- A lib is run anew at each require: what it has of options and state is handed on.
local bridge = module:require "bridge";
local browser = module:require "browser" (bridge);
local new_sasl = module:require "sasl" (bridge, browser);

local writes = module:get_option_boolean("authbridge_writes", false);

-- Seconds between Prosody 13's "make this user" and its "this is the password" for the same one.
local REGISTRATION = 60;

local now = require "util.time".now;

local UNAVAILABLE = "authbridge cannot tell now";

local provider = {};

function provider.test_password(user, password)
	local right = bridge.check_password(user, password);
	if right then
		return true;
	end
	return nil, right == false and "wrong password" or UNAVAILABLE;
end

-- An outage is a yes: a message to somebody who is offline is stored then, and not lost. Nobody gets
-- in by it, and a registration ends in a conflict.
function provider.user_exists(user)
	return bridge.user_exists(user) ~= false;
end

function provider.get_password()
	return nil, "passwords are not to be had from authbridge";
end

-- Of Prosody 13: it takes what a provider does not say for "disabled".
function provider.is_enabled()
	return true;
end

function provider.get_account_info(user)
	if provider.user_exists(user) then
		return { enabled = true };
	end
	return nil, "no such user";
end

-- Users that Prosody 13 has made without a password, which comes in a second step; and when.
local awaited = {};

local function forget_awaited(moment)
	for user, since in pairs(awaited) do
		if moment - since > REGISTRATION then
			awaited[user] = nil;
		end
	end
end

local function written(done, words)
	if done then
		return true;
	end
	return nil, done == nil and UNAVAILABLE or words;
end

local function refused()
	return nil, "authbridge_writes is false";
end

function provider.create_user(user, password)
	if not writes then
		return refused();
	elseif password == nil then
		forget_awaited(now());
		awaited[user] = now();
		return true;
	end
	return written(bridge.register(user, password), "authbridge registers no such user");
end

function provider.set_password(user, password)
	if not writes then
		return refused();
	end
	forget_awaited(now());
	if awaited[user] then
		awaited[user] = nil;
		return provider.create_user(user, password);
	end
	return written(bridge.set_password(user, password), "authbridge refuses the new password");
end

function provider.delete_user(user)
	if not writes then
		return refused();
	elseif awaited[user] then
		awaited[user] = nil;
		return true;
	end
	return written(bridge.remove_user(user), "authbridge removes no users");
end

function provider.get_sasl_handler(session)
	return new_sasl(session);
end

module:provides("auth", provider);
