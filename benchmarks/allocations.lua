-- Allocations, each for a VM that nobody has heard of. Arguments: the path's prefix (/ for none), the seed.

local count, path, seed = 0, nil, nil

function init(args)
  path = (args[1] == "/" and "" or args[1]) .. "/api/v1/ip/allocate"
  seed = args[2]
  wrk.headers["Content-Type"] = "application/json"
end

function request()
  count = count + 1
  return wrk.format("POST", path, nil, string.format('{"vm_id":"vm-%s-%d","hostname":"host-%d"}', seed, count, count))
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%.6f,"p50":%.3f,"p99":%.3f,"longest":%.3f,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
