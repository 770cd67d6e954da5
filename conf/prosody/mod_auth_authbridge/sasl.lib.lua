-- PLAIN (RFC 4616), EXTERNAL (RFC 4422, appendix A) by cookie, and OAUTHBEARER (RFC 7628), as
-- mod_saslauth uses them: mechanisms, select, process, clean_clone, and the field username.
--
-- `process` may wait: a session's stanzas are worked through in a runner of its own (util.async), so
-- the next one of the same session waits with it, and no other session does.

local base64 = require "util.encodings".base64.decode;
local jid = require "util.jid";
local json = require "util.json";
local nodeprep = require "util.encodings".stringprep.nodeprep;
local saslprep = require "util.encodings".stringprep.saslprep;

local bridge, browser;

local host = module.host;
local offers_bearer = module:get_option_boolean("authbridge_oauthbearer", true);
local clear_text = module:get_option_boolean("allow_unencrypted_plain_auth", false);

-- Octets of a password or token; authbridge takes no longer token, and Prosody's saslprep 1023.
local LONGEST = 8192;
-- Octets of an OAUTHBEARER message, the names and other pairs included.
local LONGEST_MESSAGE = LONGEST + 2048;

local REFUSED = "Unable to authorize you with the authentication credentials you've sent.";
local UNAVAILABLE = "Your credentials cannot be checked at the moment.";

local function malformed()
	return "failure", "malformed-request", "Invalid username or password.";
end

local function unavailable()
	return "failure", "temporary-auth-failure", UNAVAILABLE;
end

-- What an authorization identity that is not empty says: true and the localpart, or none where it is
-- this host's name alone; false where it is nobody's here.
local function read_authzid(authzid)
	local node, domain, resource = jid.prepped_split(authzid);
	return domain == host and resource == nil, node;
end

-- util.sasl's preparation; but printable ASCII is what it was, also where it is longer than saslprep takes.
local function prepare_password(password)
	if #password <= LONGEST and not password:find("[^\32-\126]") then
		return password;
	end
	return saslprep(password);
end

local function plain(self, message)
	local authzid, user, password = (message or ""):match("^([^%z]*)%z([^%z]+)%z([^%z]+)$");
	if not authzid then
		return malformed();
	end
	user, password = saslprep(user), prepare_password(password);
	user = user and nodeprep(user);
	if not user or user == "" or not password or password == "" then
		return malformed();
	end
	if authzid ~= "" then
		local here, node = read_authzid(authzid);
		if not here or node ~= user then
			return "failure", "invalid-authzid";
		end
	end
	self.username = user;
	local right = bridge.check_password(user, password, self.session.ip);
	if right == nil then
		return unavailable();
	elseif not right then
		return "failure", "not-authorized", REFUSED;
	end
	return "success";
end

local function external(self, message)
	local user;
	if message and message ~= "" and message ~= "=" then
		local here;
		here, user = read_authzid(message);
		if not here then
			return "failure", "invalid-authzid";
		end
	end
	local cookie = browser.cookie(self.session);
	if not cookie then
		return "failure", "not-authorized", REFUSED;
	end
	local found = bridge.cookie(cookie, user, self.session.ip);
	if found == nil then
		return unavailable();
	elseif not found then
		return "failure", "not-authorized", REFUSED;
	end
	self.username = found;
	return "success";
end

-- The authorization identity ("" if there is none) and the token of a client's message; nil if it is
-- malformed. RFC 7628, 3.1: gs2-header kvsep *(key "=" value kvsep) kvsep.
local function read_bearer(message)
	local header, rest = message:match("^([^\1]*)\1(.+)$");
	local authzid = header and (header:match("^[ny],a=([^,]+),$") or header:match("^[ny],(),$") and "");
	if not authzid then
		return nil;
	end
	local pairs_found = {};
	while rest ~= "\1" do
		local key, value, others = rest:match("^(%a+)=([\t\r\n\32-\126]*)\1(.+)$");
		if not key or pairs_found[key] then
			return nil;
		end
		pairs_found[key], rest = value, others;
	end
	local scheme, token = (pairs_found.auth or ""):match("^(%a+) +([%w._~+/-]+=*)$");
	if not scheme or scheme:lower() ~= "bearer" then
		return nil;
	end
	-- saslname of RFC 5801: "=2C" and "=3D", and no other "=".
	if authzid:gsub("=2C", ""):gsub("=3D", ""):find("=", 1, true) then
		return nil;
	end
	return authzid:gsub("=2C", ","):gsub("=3D", "="), token;
end

-- Whom a JSON Web Token says that it is about, to know for whom to ask; authbridge verifies all of it,
-- that it is about him included. nil if it is no such token, or about nobody here.
local function read_subject(token)
	local payload = token:match("^[%w_-]+%.([%w_-]+)%.[%w_-]+$");
	if not payload then
		return nil;
	end
	payload = payload:gsub("[-_]", { ["-"] = "+", ["_"] = "/" });
	payload = base64(payload..("="):rep(-#payload % 4));
	-- Whoever sends it may have made it up: an error of the reader is his.
	local read, claims = pcall(json.decode, payload or "");
	local subject = read and type(claims) == "table" and claims.sub;
	if type(subject) ~= "string" then
		return nil;
	elseif not subject:find("@", 1, true) then
		return nodeprep(subject);
	end
	local here, node = read_authzid(subject);
	return here and node or nil;
end

-- RFC 7628, 3.2.3: why, then one more message of the client, whatever is in it, then the failure.
local function refuse_token(self)
	self.refused = true;
	return "challenge", json.encode({ status = "invalid_token" });
end

-- What authbridge would take for a signed token; a password is none, whatever the client calls it.
local function is_signed(token)
	return #token <= LONGEST
		and (token:match("^[%w_-]+%.[%w_-]+%.[%w_-]+$") or token:match("^abtc%d+_")) ~= nil;
end

local function oauthbearer(self, message)
	if self.refused then
		return "failure", "not-authorized", REFUSED;
	elseif not message or #message > LONGEST_MESSAGE then
		return malformed();
	end
	local authzid, token = read_bearer(message);
	if not authzid then
		return malformed();
	elseif not is_signed(token) then
		return refuse_token(self);
	end
	local user;
	if authzid == "" then
		user = read_subject(token);
	else
		local here, node = read_authzid(authzid);
		if not here or not node then
			return "failure", "invalid-authzid";
		end
		user = node;
	end
	if not user or user == "" then
		return refuse_token(self);
	end
	self.username = user;
	local right = bridge.check_password(user, token, self.session.ip);
	if right == nil then
		return unavailable();
	elseif not right then
		return refuse_token(self);
	end
	return "success";
end

local processes = { PLAIN = plain, EXTERNAL = external, OAUTHBEARER = oauthbearer };

-- What mod_saslauth calls a SASL handler.
local sasl = {};
sasl.__index = sasl;

local function new(session)
	return setmetatable({ session = session or {}, realm = host }, sasl);
end

function sasl:clean_clone()
	return new(self.session);
end

-- OAUTHBEARER is for encrypted connections (RFC 7628, 4). mod_saslauth says so of PLAIN alone.
local function takes_bearer(session)
	return offers_bearer and (session.secure or clear_text);
end

function sasl:mechanisms()
	return {
		PLAIN = true;
		EXTERNAL = browser.cookie(self.session) and true or nil;
		OAUTHBEARER = takes_bearer(self.session) and true or nil;
	};
end

-- EXTERNAL may be selected by every browser, and is refused as what it is: a login without a right.
function sasl:select(mechanism)
	local known = mechanism == "PLAIN"
		or mechanism == "EXTERNAL" and browser.is_one(self.session)
		or mechanism == "OAUTHBEARER" and takes_bearer(self.session);
	if self.selected or not known then
		return false;
	end
	self.selected = mechanism;
	return true;
end

-- `message` is nil where the element had no text: no initial response, which is then asked for with an
-- empty challenge, or an empty one to that.
function sasl:process(message)
	if message == nil and not self.prompted and not self.refused then
		self.prompted = true;
		return "challenge", "";
	end
	return processes[self.selected](self, message);
end

return function (the_bridge, the_browser)
	bridge, browser = the_bridge, the_browser;
	return new;
end
