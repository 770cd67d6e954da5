-- What is asked of authbridge, and what its answers mean. Each question is true (yes), false (no), or
-- nil: it cannot be told. Nothing but the answers that are promised for them is a yes or a no.
--
-- Everything goes by POST, the cookie by a header: net.http writes each URL into the log at "debug".

local async = require "util.async";
local base64 = require "util.encodings".base64.encode;
local http = require "net.http";
local lfs = require "lfs";
local new_ip = require "util.ip".new_ip;
local nodeprep = require "util.encodings".stringprep.nodeprep;
local now = require "util.time".now;
local timer = require "util.timer";

local host = module.host;

-- The longest answer there is, and more: that to a cookie is a localpart.
local LONGEST = 4096;
-- Seconds between two lines in the log about the same trouble.
local QUIET = 60;

-- Whoever sets this up wrongly is told at once, and nobody gets in.
local function wrong(option, words)
	local text = ("%s: %s"):format(option, words);
	module:log("error", "%s", text);
	error(text, 0);
end

local function read_url()
	local url = module:get_option_string("authbridge_url", "http://127.0.0.1:9281/auth"):gsub("/+$", "");
	local scheme, name = url:match("^(https?)://([%w.-]+)");
	local rest = scheme and url:sub(#scheme + #name + 4);
	if not rest or not (rest:match("^:%d+$") or rest:match("^:?%d*/[%w/._~-]+$") or rest == "") then
		wrong("authbridge_url", "an address such as http://127.0.0.1:9281/auth, without a password in it");
	elseif scheme == "http" and name ~= "localhost" and not name:match("^127%.%d+%.%d+%.%d+$")
		and not module:get_option_boolean("authbridge_insecure_clear_text", false) then
		wrong("authbridge_url", "passwords would leave this machine in clear text: https, or a loopback address");
	end
	return url;
end

local function read_secret_file(path)
	local mode = lfs.attributes(path, "mode");
	if mode ~= "file" then
		wrong("authbridge_secret_file", mode and path.." is no file" or path.." is not there, or may not be read");
	end
	local permissions = lfs.attributes(path, "permissions");
	if not permissions or permissions:sub(7, 9) ~= "---" then
		wrong("authbridge_secret_file", path.." may be read by others: chmod 640, and Prosody's group");
	end
	local file, trouble = io.open(path);
	if not file then
		wrong("authbridge_secret_file", trouble);
	end
	local text = file:read(LONGEST) or "";
	file:close();
	return (text:gsub("\r?\n$", ""));
end

local function read_secret()
	local text = module:get_option_string("authbridge_secret");
	local path = module:get_option_path("authbridge_secret_file", nil, "config");
	if (text == nil) == (path == nil) then
		wrong("authbridge_secret_file", "either this or authbridge_secret is needed: authbridge client new prints it");
	end
	local secret = text or read_secret_file(path);
	if secret == "" or secret:find("%c") then
		wrong(path and "authbridge_secret_file" or "authbridge_secret", "empty, or more than one line");
	end
	return secret;
end

local function read_timeout()
	local seconds = module:get_option_number("authbridge_timeout", 10);
	if seconds <= 0 or seconds > 300 then
		wrong("authbridge_timeout", "more than 0 and at most 300 seconds");
	end
	return seconds;
end

local base_url = read_url();
local timeout = read_timeout();
local client = module:get_option_string("authbridge_client", "prosody");
if not client:match("^[%w._-]+$") then
	wrong("authbridge_client", "the NAME of [clients.NAME]: letters, digits, dot, _ and -");
end
local authorization = "Basic "..base64(client..":"..read_secret());

-- When each trouble was last written down.
local told = {};

-- Leave a line about an outage. `words` are net.http's, or none: never what was sent or answered.
local function note_trouble(verb, status, words)
	local text;
	if status ~= 0 then
		text = ("%s was answered with the status %d"):format(verb, status);
		if status == 401 or status == 403 or status == 404 or status == 421 then
			text = text..(": is [clients.%s] of authbridge right, and authbridge_url?"):format(client);
		end
	else
		text = ("%s was not answered: %s"):format(verb, words);
	end
	local moment = now();
	if moment - (told[text] or -QUIET) >= QUIET then
		told[text] = moment;
		module:log(status == 0 and "warn" or "error", "authbridge: %s", text);
	end
end

-- The client's address as a header has it; nil where there is none (a Unix socket, say).
local function address(ip)
	local parsed = ip and new_ip(ip);
	return parsed and parsed.addr;
end

-- Ask, and wait without keeping anybody else waiting: status, text and headers of the answer. The
-- status is 0 where there was none, and the text says why then. What comes after `timeout` counts no more.
local function call(verb, target, body, headers)
	if not async.ready() then
		return 0, "asked where nobody can wait for the answer";
	end
	local wait, done = async.waiter();
	local answer;
	local function take(status, text, response_headers)
		if not answer then
			answer = { status = status, text = text, headers = response_headers or {} };
			done();
		end
	end
	headers["Authorization"] = authorization;
	local request = http.request(base_url..target, {
		method = body and "POST" or "GET";
		headers = headers;
		body = body;
	}, function (text, status, response)
		if not status or status == 0 then
			take(0, text or "no connection");
		elseif type(text) ~= "string" or #text > LONGEST then
			take(0, "the answer is longer than any of authbridge's");
		else
			take(status, text, response and response.headers);
		end
	end);
	local alarm = not answer and timer.add_task(timeout, function ()
		if not answer and request and http.destroy_request then
			http.destroy_request(request);
		end
		take(0, ("not within %g s"):format(timeout));
	end);
	wait();
	if alarm then
		timer.stop(alarm);
	end
	module:log("debug", "authbridge: %s: %d", verb, answer.status);
	return answer.status, answer.text, answer.headers;
end

local function post(verb, form, ip)
	form.server = host;
	return call(verb, "/"..verb, http.formencode(form), { ["X-Forwarded-For"] = address(ip) });
end

-- Exactly `true` or `false` with the status 200.
local function ask(verb, form, ip)
	local status, text = post(verb, form, ip);
	if status == 200 and (text == "true" or text == "false") then
		return text == "true";
	end
	note_trouble(verb, status, text);
	return nil;
end

-- Done, not done, or not known; `statuses` are those that say that it is done.
local function write(verb, form, statuses)
	local status, text = post(verb, form);
	if statuses[status] then
		return true;
	elseif status == 0 or status >= 500 and status ~= 501 or status == 401 then
		note_trouble(verb, status, text);
		return nil;
	end
	return false;
end

local DONE = { [200] = true, [201] = true, [204] = true };
local MADE = { [201] = true };

local bridge = { wrong = wrong };

-- `ip` is the client's address.
function bridge.check_password(user, password, ip)
	return ask("check_password", { user = user, pass = password }, ip);
end

function bridge.user_exists(user)
	return ask("user_exists", { user = user });
end

function bridge.set_password(user, password)
	return write("set_password", { user = user, pass = password }, DONE);
end

function bridge.register(user, password)
	return write("register", { user = user, pass = password }, MADE);
end

function bridge.remove_user(user)
	return write("remove_user", { user = user }, DONE);
end

-- Whose session of the website a Cookie header is: the prepared localpart, false or nil. With a `user`
-- it is that one or nobody; without, "nobody" and "cannot tell" are the same to authbridge's callers.
function bridge.cookie(cookie, user, ip)
	local query = "/cookie?"..http.formencode({ server = host, user = user });
	local headers = { ["Cookie"] = cookie, ["X-Forwarded-For"] = address(ip) };
	local status, text, answered = call("cookie", query, nil, headers);
	if status == 200 then
		local found = nodeprep(text);
		if found and found ~= "" and (user == nil or user == found) then
			return found;
		end
		return false;
	elseif status == 401 and (text == "false" or not answered["www-authenticate"]) then
		-- With a challenge it would be our own credentials that are wrong.
		return false;
	end
	note_trouble("cookie", status, text);
	return nil;
end

return bridge;
