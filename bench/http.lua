-- Has wrk put or get 1,000 values of so many bytes in turn, and tell what it measured as load.c does.
--   wrk ... -s http.lua URL -- znoded|etcd put|get BYTES
-- znoded: REST, the value as it is, answers in JSON. etcd: its gateway, JSON with base64 both ways.

local KEYS = 1000
local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local requests, last, operation, length = {}, 0

local function base64(text)
  local function four(group)
    local a, b, c = group:byte(1, 3)
    local bits = a * 65536 + (b or 0) * 256 + (c or 0)
    local out = ""
    for place = 18, 0, -6 do
      local index = math.floor(bits / 2 ^ place) % 64
      out = out .. ALPHABET:sub(index + 1, index + 1)
    end
    return out:sub(1, #group + 1) .. ("="):rep(3 - #group)
  end
  return (text:gsub("..?.?", four))
end

local makers = {
  znoded = {
    put = function(path, value)
      local headers = { Accept = "application/json", ["Content-Type"] = "application/octet-stream" }
      return wrk.format("PUT", "/znodes/v1" .. path, headers, value)
    end,
    get = function(path)
      return wrk.format("GET", "/znodes/v1" .. path, { Accept = "application/json" })
    end,
  },
  etcd = {
    put = function(path, value)
      local body = '{"key":"' .. base64(path) .. '","value":"' .. base64(value) .. '"}'
      return wrk.format("POST", "/v3/kv/put", { ["Content-Type"] = "application/json" }, body)
    end,
    get = function(path)
      local body = '{"key":"' .. base64(path) .. '"}'
      return wrk.format("POST", "/v3/kv/range", { ["Content-Type"] = "application/json" }, body)
    end,
  },
}

function init(arguments)
  operation, length = arguments[2], tonumber(arguments[3])
  for number = 0, KEYS - 1 do
    requests[number] = makers[arguments[1]][operation]("/load/k" .. number, ("v"):rep(length))
  end
end

function request()
  last = (last + 1) % KEYS
  return requests[last]
end

function done(summary, latency)
  local seconds, failed = summary.duration / 1e6, summary.errors
  local errors = failed.connect + failed.read + failed.write + failed.timeout + failed.status
  local line = '{"seconds":%.6f,"count":%d,"errors":%d,"per_second":%.3f,'
    .. '"p50":%.3f,"p99":%.3f,"p999":%.3f,"max":%.3f}\n'
  io.write(line:format(
    seconds, summary.requests, errors, summary.requests / seconds,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3,
    latency.max / 1e3
  ))
end
