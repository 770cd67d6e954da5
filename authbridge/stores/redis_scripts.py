"""What Redis runs for the operations: each in one script, which Redis runs as a whole, alone.

The keys, all of them beginning with `authbridge:`

    version         number of this layout
    epoch           random, made by whoever comes first: where it is another one, or none, what was
                    known is lost
    clock           the latest moment at which something was changed, swept, or had expired
    token:ID        HASH, one temporary token; gone by Redis's own expiry, long after its end
    user:JID        ZSET of the ids of a user's tokens that can still be used, by their end; at most
                    `operations.MOST_LIVE`
    claims          ZSET of the claims on signed tokens, by their `until`
    withdrawn       ZSET of the withdrawn subjects, by their `until`
    withdrawn:what  HASH of the same, with `before` and `ends`, a blank between them
    horizon         latest `until` of what was forgotten of these two (`operations.Admit`)
    seen:DOMAIN     SET of localparts: a third of the memory of one key for each user, and who they
                    are is listed, or a domain forgotten, by one command

A script that finds another epoch than the asker's does nothing and says so.

Numbers are texts of seventeen digits, which are exactly the doubles that Python has. A script that
refuses has written nothing: all that can be refused for want of memory comes as its first write.
"""

from __future__ import annotations

import hashlib

from authbridge.stores.operations import KEPT, MOST_LIVE

VERSION = 1
SWEPT = 1000
"""Claims, and subjects, that one sweep forgets: a millisecond or two in which nobody is served."""
SLACK = 3600.0
"""Seconds for which Redis keeps a token longer than need be: two clocks are never the same."""

CLOCK = b"authbridge:clock"
HORIZON = b"authbridge:horizon"
CLAIMS = b"authbridge:claims"
WITHDRAWN = b"authbridge:withdrawn"
WITHDRAWN_WHAT = b"authbridge:withdrawn:what"
VERSION_KEY = b"authbridge:version"
EPOCH = b"authbridge:epoch"
TOKEN = b"authbridge:token:"
USER = b"authbridge:user:"
SEEN_IN = b"authbridge:seen:"

ID_THERE = b"id_there"
TOO_MANY = b"too_many"
"""What ISSUE answers where nothing was issued."""
OTHER_EPOCH = "EPOCH"
"""Code of the error that all answer where nothing was done."""

# In front of all: KEYS[1] clock, [2] epoch; ARGV[1] the moment, [2] the epoch that the asker knows.
_START = f"""
local known = redis.call('MGET', KEYS[1], KEYS[2])
if known[2] ~= ARGV[2] then return redis.error_reply('{OTHER_EPOCH} is another one') end
local now, mark = tonumber(ARGV[1]), tonumber(known[1] or 0)
local function text(number) return string.format('%.17g', number) end
local function advance()
  if now > mark then redis.pcall('SET', KEYS[1], text(now)) end
end
if mark > now then now = mark end
"""
# What has changed, and what was found to have expired, advances the clock. That this succeeds is
# part of no answer: a Redis that is full has to say no all the same, and `sweep` tells of it.

# KEYS[3] token; ARGV[3] digest, [4] JID. The order is that of `Record.judge`.
_JUDGE = """
local t = redis.call('HMGET', KEYS[3], 'digest', 'jid', 'revoked', 'expires', 'uses', 'forget')
if t[1] ~= ARGV[3] or tonumber(t[6]) <= now then return 'token_unknown' end
if t[2] ~= ARGV[4] then return 'token_user_wrong' end
if t[3] then return 'token_revoked' end
if tonumber(t[4]) <= now then
  advance()
  return 'token_expired'
end
if t[5] and tonumber(t[5]) < 1 then return 'token_used' end
"""

# Of the function's `key`: whether the token could be used, and now is revoked.
_REVOKE = f"""
local function revoke(key)
  local t = redis.call('HMGET', key, 'revoked', 'expires', 'uses')
  if not t[2] or t[1] or tonumber(t[2]) <= now or (t[3] and tonumber(t[3]) < 1) then return 0 end
  redis.call('HSET', key, 'revoked', '1', 'forget', text(now + {KEPT!r}))
  redis.call('PEXPIRE', key, '{(KEPT + SLACK) * 1000:.0f}')
  return 1
end
"""

# Of a value of withdrawn:what.
_MOMENTS = """
local function moments(what)
  local before, ends = string.match(what, '^(%S+) (%S+)$')
  return tonumber(before), tonumber(ends)
end
"""


class Script:
    """A script, and the name by which Redis knows it once it is loaded."""

    __slots__ = ("sha", "text")

    def __init__(self, *parts: str) -> None:
        self.text = _START + "".join(parts)
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest().encode()


# KEYS[4] user; ARGV[3] id, [4] ttl, [5] the whole life at Redis in ms, then fields and values.
# Answers the moment of issue.
ISSUE = Script(
    f"""
local forget = redis.call('HGET', KEYS[3], 'forget')
if forget and tonumber(forget) > now then return '{ID_THERE.decode()}' end
if redis.call('ZCOUNT', KEYS[4], '(' .. text(now), '+inf') >= {MOST_LIVE} then
  return '{TOO_MANY.decode()}'
end
if forget then redis.call('DEL', KEYS[3]) end
local ends = now + tonumber(ARGV[4])
redis.call('HSET', KEYS[3], 'issued', text(now), 'expires', text(ends),
  'forget', text(ends + {KEPT!r}), unpack(ARGV, 6))
redis.call('PEXPIRE', KEYS[3], ARGV[5])
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', text(now))
redis.call('ZADD', KEYS[4], text(ends), ARGV[3])
if redis.call('PTTL', KEYS[4]) < tonumber(ARGV[5]) then
  redis.call('PEXPIRE', KEYS[4], ARGV[5])
end
advance()
return text(now)
"""
)

# KEYS[4] user; ARGV[5] id.
CONSUME = Script(
    _JUDGE,
    """
redis.call('HSET', KEYS[3], 'last_used', text(now))
if t[5] and redis.call('HINCRBY', KEYS[3], 'uses', -1) < 1 then
  redis.call('ZREM', KEYS[4], ARGV[5])
end
advance()
return 'token_valid'
""",
)

PEEK = Script(_JUDGE, "return 'token_valid'\n")

# KEYS[3] token.
FIND = Script(
    """
local forget = redis.call('HGET', KEYS[3], 'forget')
if not forget or tonumber(forget) <= now then return {} end
return redis.call('HGETALL', KEYS[3])
"""
)

# KEYS[3] user; ARGV[3] what token keys begin with. Whoever asks puts them in order.
LIST = Script(
    """
local listed = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. text(now), '+inf')) do
  local one = redis.call('HGETALL', ARGV[3] .. id)
  if #one > 0 then listed[#listed + 1] = one end
end
return listed
"""
)

# KEYS[3] token; ARGV[3] id, [4] what user keys begin with.
REVOKE = Script(
    _REVOKE,
    """
if revoke(KEYS[3]) == 0 then return 0 end
redis.call('ZREM', ARGV[4] .. redis.call('HGET', KEYS[3], 'jid'), ARGV[3])
advance()
return 1
""",
)

# KEYS[3] user; ARGV[3] what token keys begin with.
REVOKE_ALL = Script(
    _REVOKE,
    """
local revoked = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. text(now), '+inf')) do
  revoked = revoked + revoke(ARGV[3] .. id)
end
if revoked > 0 then
  redis.call('DEL', KEYS[3])
  advance()
end
return revoked
""",
)

# KEYS[3] withdrawn, [4] withdrawn:what; ARGV[3] subject, [4] before, [5] ends, [6] until.
WITHDRAW = Script(
    _MOMENTS,
    """
local before, ends = tonumber(ARGV[4]), tonumber(ARGV[5])
local what = redis.call('HGET', KEYS[4], ARGV[3])
if what then
  local known_before, known_ends = moments(what)
  before, ends = math.max(before, known_before), math.max(ends, known_ends)
end
redis.call('HSET', KEYS[4], ARGV[3], text(before) .. ' ' .. text(ends))
local till = redis.call('ZSCORE', KEYS[3], ARGV[3])
if not till or tonumber(till) < tonumber(ARGV[6]) then
  redis.call('ZADD', KEYS[3], ARGV[6], ARGV[3])
end
advance()
return 1
""",
)

# KEYS[3] horizon, [4] withdrawn:what, [5] claims; ARGV[3] issued, or nothing, [4] expires,
# [5] until, [6] what of the claim: no, look, make; [7] the claim; then subjects.
ADMIT = Script(
    _MOMENTS,
    """
if tonumber(ARGV[5]) <= tonumber(redis.call('GET', KEYS[3]) or '-1e300') then
  return 'token_expired'
end
if #ARGV > 7 then
  local issued, expires = tonumber(ARGV[3]), tonumber(ARGV[4])
  for _, what in ipairs(redis.call('HMGET', KEYS[4], unpack(ARGV, 8))) do
    if what then
      local before, ends = moments(what)
      if issued and before > issued or not issued and ends >= expires then
        return 'token_revoked'
      end
    end
  end
end
if ARGV[6] ~= 'no' and redis.call('ZSCORE', KEYS[5], ARGV[7]) then return 'token_used' end
if ARGV[6] == 'make' then
  redis.call('ZADD', KEYS[5], ARGV[5], ARGV[7])
  advance()
end
return 'token_valid'
""",
)

# KEYS[3] of the domain; ARGV[3] localpart.
NOTE_SEEN = Script("return redis.call('SADD', KEYS[3], ARGV[3])\n")
SEEN = Script("return redis.call('SISMEMBER', KEYS[3], ARGV[3])\n")

# KEYS[3] horizon, [4] withdrawn:what, [5] claims, [6] withdrawn; ARGV[3] by the machine's clock.
# What is forgotten goes first: a Redis that is full lets that pass, and then the rest of the
# script too. Answers how many, and the latest moment.
SWEEP = Script(
    f"""
local latest = tonumber(redis.call('GET', KEYS[3]) or '-1e300')
local swept, horizon, oldest = 0, latest, text(tonumber(ARGV[3]) - {KEPT!r})
for _, key in ipairs({{KEYS[5], KEYS[6]}}) do
  local over = redis.call('ZRANGEBYSCORE', key, '-inf', oldest, 'LIMIT', 0, {SWEPT})
  if #over > 0 then
    horizon = math.max(horizon, tonumber(redis.call('ZSCORE', key, over[#over])))
    redis.call('ZREM', key, unpack(over))
    if key == KEYS[6] then redis.call('HDEL', KEYS[4], unpack(over)) end
    swept = math.max(swept, #over)
  end
end
if horizon > latest then redis.call('SET', KEYS[3], text(horizon)) end
redis.call('SET', KEYS[1], text(now))
return {{swept, text(now)}}
"""
)

SCRIPTS = (
    ISSUE,
    CONSUME,
    PEEK,
    FIND,
    LIST,
    REVOKE,
    REVOKE_ALL,
    WITHDRAW,
    ADMIT,
    NOTE_SEEN,
    SEEN,
    SWEEP,
)
