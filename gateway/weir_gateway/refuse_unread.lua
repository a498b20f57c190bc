-- Refuse events of a tenant whose quota is used up before anybody works for them: no credential check, no reading by a service.
--
-- Ingest says in an answer, by x-weir-pause, for how many milliseconds the tenant's buckets stay empty. Until then requests with the
-- very same credential get its 429 from here. That is known by credential and not by tenant, since whose a credential is would have to
-- be asked; so nothing is ever refused for what somebody else did. The tables are this worker's own: another worker learns by itself.
--
-- With the next request that is let through ingest hears how many were refused (x-weir-refused-unread), for the tenant's counts.

local PATH = "/api/v2/events/batch"
local LONGEST_PAUSE_MS = 1000
local MOST_PAUSES = @MOST_PAUSES@
-- A body up to this size is read and thrown away, so that an HTTP/1.1 connection stays usable: a new one costs its sender and
-- the gateway more (a TLS handshake). Below per_connection_buffer_limit_bytes, above which Envoy would answer 413.
local MOST_BYTES_TO_READ = 1000000

-- credential → {until_ms, tenant, retry_after, ratelimit, policy, refused}
local pauses, count, swept_ms = {}, 0, 0

local function sweep(now)
  if now - swept_ms < LONGEST_PAUSE_MS then return end
  swept_ms = now
  for credential, pause in pairs(pauses) do
    -- What was refused and not yet told is kept a while for a sender that comes back.
    if pause.until_ms + (pause.refused > 0 and 60000 or 0) <= now then
      pauses[credential] = nil
      count = count - 1
    end
  end
end

local function refuse(handle, pause)
  pause.refused = pause.refused + 1
  local headers = handle:headers()
  -- For the log and the trace, as the credential check has it elsewhere.
  headers:replace("x-weir-tenant", pause.tenant)
  local size = tonumber(headers:get("content-length"))
  if handle:streamInfo():protocol() ~= "HTTP/2" and size ~= nil and size <= MOST_BYTES_TO_READ then
    handle:body()
  end
  -- The text becomes the detail of the problem document that this gateway makes of each answer of its own.
  handle:respond({
    [":status"] = "429",
    ["retry-after"] = pause.retry_after,
    ["ratelimit"] = pause.ratelimit,
    ["ratelimit-policy"] = pause.policy,
  }, "The tenant's quota is used up; the request was not read. Send it again after Retry-After.")
end

function envoy_on_request(handle)
  local headers = handle:headers()
  if headers:get(":method") ~= "POST" then return end
  local path = headers:get(":path")
  if path ~= PATH and path:sub(1, #PATH + 1) ~= PATH .. "?" then return end
  local authorization, key = headers:get("authorization"), headers:get("x-api-key")
  if authorization == nil and key == nil then return end
  local credential = (authorization or "") .. "\n" .. (key or "")
  local pause = pauses[credential]
  if pause ~= nil then
    local rest = pause.until_ms - handle:timestamp()
    -- A clock that was set back must not lengthen a pause.
    if rest > 0 and rest <= LONGEST_PAUSE_MS then
      refuse(handle, pause)
      return
    end
    if pause.refused > 0 then
      headers:add("x-weir-refused-unread", tostring(pause.refused))
      pause.refused = 0
    end
  end
  handle:streamInfo():dynamicMetadata():set("weir.pause", "credential", credential)
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local told = headers:get("x-weir-pause")
  if told == nil then return end
  headers:remove("x-weir-pause")
  local asked = handle:streamInfo():dynamicMetadata():get("weir.pause")
  local ms, tenant = told:match("^(%d+) ([%w_-]+)$")
  if asked == nil or ms == nil then return end
  local now = handle:timestamp()
  sweep(now)
  local pause = pauses[asked.credential]
  if pause == nil then
    if count >= MOST_PAUSES then return end
    pause = {refused = 0}
    pauses[asked.credential] = pause
    count = count + 1
  end
  pause.until_ms = now + math.min(tonumber(ms), LONGEST_PAUSE_MS)
  pause.tenant = tenant
  pause.retry_after = headers:get("retry-after") or "1"
  pause.ratelimit = headers:get("ratelimit") or ""
  pause.policy = headers:get("ratelimit-policy") or ""
end
