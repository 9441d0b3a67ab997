-- Payments of a few micro-credits between random wallets. Arguments: how many wallets there are, the seed.

local bodies, count = {}, 0

function init(args)
  local wallets = tonumber(args[1])
  math.randomseed(tonumber(args[2]))
  wrk.headers["Content-Type"] = "application/json"
  for i = 1, 20000 do
    local payer = math.random(0, wallets - 1)
    local to = (payer + math.random(1, wallets - 1)) % wallets
    bodies[i] = wrk.format("POST", "/api/v1/transfers", nil, string.format(
      '{"username":"w-%d","to":"w-%d","amount":"0.00000%d"}', payer, to, math.random(1, 9)))
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
