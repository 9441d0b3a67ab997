-- Bids of random solvers on random open orders. Arguments: the path's prefix (/ for none), the seed.
-- The orders are those that benchmarks/auctions.py has announced: ids from 2 on, a hundred of them.

local bodies, count = {}, 0

function init(args)
  local prefix = args[1] == "/" and "" or args[1]
  math.randomseed(tonumber(args[2]))
  wrk.headers["Content-Type"] = "application/json"
  for i = 1, 20000 do
    bodies[i] = wrk.format("POST", prefix .. "/api/v1/auctions/orders/" .. math.random(2, 101) .. "/bids", nil,
      string.format('{"solver":"s-%d","max_input":"0.0%d","conversion_rate":"%d.%d","valid_till":"2099-01-01T00:00:00Z"}',
        math.random(0, 499), math.random(1, 9), math.random(100, 999), math.random(0, 9)))
  end
end

function request()
  count = count + 1
  return bodies[count % #bodies + 1]
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%.6f,"p50":%.3f,"p99":%.3f,"longest":%.3f,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
