"""What Redis runs for a store of bundles, each whole and alone, in Lua.

Nothing is ever taken back: what can fail comes before the first change. The keys are
told, as a cluster wants it; those of the bundles that the log names are at its node.
"""

from __future__ import annotations

__all__ = ["LOST", "SINCE", "WRITE"]

LOST = "lost"  # the version of what the index has and Redis has thrown away

# KEYS: the bundle, the index, the log. ARGV: the version that is expected ('' for no
# bundle), a mark, the channel, how many changes the log keeps, and the text, if any.
# The channel is told first: whoever it wakes waits until the script is done, or finds
# that nothing changed. What is removed is so before the log grows: memory that is full
# allows that.
WRITE = """
local found = redis.call('HGET', KEYS[1], 'version')
  or (redis.call('ZSCORE', KEYS[2], KEYS[1]) and 'lost') or ''
if found ~= ARGV[1] then return {0, found} end
redis.call('ZCARD', KEYS[2])
local last = redis.call('ZREVRANGE', KEYS[3], 0, 0, 'WITHSCORES')
local number = (tonumber(last[2]) or 0) + 1
local version = string.format('%.0f-%s', number, ARGV[2])
redis.call('PUBLISH', ARGV[3], version .. ' ' .. KEYS[1])
if not ARGV[5] then
  redis.call('ZREM', KEYS[2], KEYS[1])
  redis.call('DEL', KEYS[1])
end
redis.call('ZADD', KEYS[3], number, version .. ' ' .. KEYS[1])
if ARGV[5] then
  redis.call('ZADD', KEYS[2], number, KEYS[1])
  redis.call('HSET', KEYS[1], 'version', version, 'body', ARGV[5])
end
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - ARGV[4])
return {1, version}
"""
# KEYS: the log, the index. ARGV: a token, its number, and how many changes may be told.
# Gives the present token and what each bundle is that changed since; nothing where it
# cannot tell. The token is in the log itself, else it is of a store that was another.
SINCE = """
local log = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[2], '+inf',
  'LIMIT', 0, ARGV[3] + 2)
local start = ARGV[1] .. ' '
if not log[1] or string.sub(log[1], 1, #start) ~= start or #log > ARGV[3] + 1 then
  return {}
end
local news, seen = {string.match(log[#log], '^%S+')}, {}
for number = 2, #log do
  local key = string.match(log[number], ' (.*)')
  if not seen[key] then
    seen[key] = true
    local found = redis.call('HMGET', key, 'version', 'body')
    local lost = not found[1] and redis.call('ZSCORE', KEYS[2], key) and 'lost'
    news[#news + 1] = {key, found[1] or lost, found[2]}
  end
end
return news
"""
