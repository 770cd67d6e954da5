-- The cookie with which a session came, if it came by HTTP and from a page that may use it.
--
-- A browser sends the cookie along with whatever page opens the WebSocket: only the Origin tells ours
-- from a stranger's, and Prosody looks at none.

local nameprep = require "util.encodings".stringprep.nameprep;

local host = module.host;

local LONGEST = 8192;

local function read_origins(wrong)
	if not module:get_option_boolean("authbridge_cookie", false) then
		return nil;
	end
	local origins = module:get_option_set("authbridge_origins", {});
	for origin in origins do
		if type(origin) ~= "string" or not origin:match("^https?://[^/%s%u@*?#]+$") then
			wrong("authbridge_origins", "each is what a browser sends, such as https://www.example.org: "
				.."lower case, without a path or a slash at the end");
		end
	end
	if origins:empty() then
		wrong("authbridge_origins", "needed where authbridge_cookie is true: the website's own");
	end
	return origins;
end

-- The set; nil without logins by cookie.
local origins;

-- BOSH session -> headers of the request that created it. Those of its later requests, which another
-- page may send if it knows the sid, do not count.
local creators = setmetatable({}, { __mode = "k" });

local function note_creator(event)
	local session, request = event.session, event.request;
	if session and request and request.headers and nameprep(session.host) == host then
		creators[session] = { cookie = request.headers.cookie, origin = request.headers.origin };
	end
end

local browser = {};

-- True for a session that came by HTTP, where EXTERNAL is about cookies.
function browser.is_one(session)
	return session ~= nil and origins ~= nil
		and (session.websocket_request ~= nil or creators[session] ~= nil);
end

-- The Cookie header, as the browser sent it; nil where there is none, or the page is not one of ours.
function browser.cookie(session)
	if not browser.is_one(session) then
		return nil;
	end
	local headers = session.websocket_request and session.websocket_request.headers or creators[session];
	local cookie, origin = headers.cookie, headers.origin;
	if not cookie or cookie == "" then
		return nil;
	elseif not origin or not origins:contains(origin) then
		module:log("info", "no login by cookie: the page's origin (%q) is none of authbridge_origins",
			(origin or "none"):sub(1, 200));
		return nil;
	elseif #cookie > LONGEST or cookie:find("%c") then
		module:log("info", "no login by cookie: more than %d octets, or control characters", LONGEST);
		return nil;
	end
	return cookie;
end

return function (bridge)
	origins = read_origins(bridge.wrong);
	if origins then
		module:hook_global("bosh-session", note_creator);
	end
	return browser;
end
