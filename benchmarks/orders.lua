-- The mix: nine buys by random users at random prices, then one sell of what nine buys ask for, so that the book
-- neither grows nor runs dry. Arguments: the path's prefix (/ for none), the seed.

local buys, sell, count = {}, nil, 0

function init(args)
  local prefix = args[1] == "/" and "" or args[1]
  math.randomseed(tonumber(args[2]))
  wrk.headers["Content-Type"] = "application/json"
  for i = 1, 20000 do
    local body = string.format('{"username":"user-%04d","volume":%d,"price":%d}',
      math.random(0, 9999), math.random(1, 9), math.random(1, 100))
    buys[i] = wrk.format("POST", prefix .. "/buy", nil, body)
  end
  sell = wrk.format("POST", prefix .. "/sell", nil, '{"volume":45}')
end

function request()
  count = count + 1
  if count % 10 == 0 then return sell end
  return buys[math.random(#buys)]
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%.6f,"p50":%.3f,"p99":%.3f,"longest":%.3f,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
