-- Refuse events of a tenant whose quota is used up before anybody works for them: no credential check, no reading by a service.
--
-- Ingest says in an answer, by x-weir-pause, for how many milliseconds the tenant's buckets stay empty. Until then requests with the
-- very same credential get its 429 from here; its 503 likewise, when more of a tenant's requests wait than will be served. That is known by credential and not by tenant, since whose a credential is would have to
-- be asked; so nothing is ever refused for what somebody else did. The tables are this worker's own: another worker learns by itself.
--
-- With the next request that is let through ingest hears how many were refused (x-weir-refused-unread: by 429, by 503), for the
-- tenant's counts.

local PATH = "/api/v2/events/batch"
local LONGEST_PAUSE_MS = 1000
local LONGEST_UNTOLD_MS = 60000
local MOST_PAUSES = @MOST_PAUSES@
-- A body up to this size is read and thrown away. An answer before its end would close an HTTP/1.1 connection, which costs a TLS
-- handshake, and to a sender that still writes the answer itself. What is larger, or does not say how large it is, goes on to ingest,
-- which refuses it as well. Below per_connection_buffer_limit_bytes, above which Envoy would answer 413.
local MOST_BYTES_TO_READ = 1000000

local DETAILS = {
  ["429"] = "The tenant's quota is used up; the request was not read. Send it again after Retry-After.",
  ["503"] = "More of your requests wait than can be done now; this one was not read. Send it again after Retry-After.",
}

-- credential → {until_ms, status, tenant, headers, refused = {by status}}
local pauses, count, swept_ms = {}, 0, 0

local function sweep(now)
  if now - swept_ms < LONGEST_PAUSE_MS then return end
  swept_ms = now
  for credential, pause in pairs(pauses) do
    -- What was refused and not yet told is kept a while for a sender that comes back.
    local untold = pause.refused["429"] + pause.refused["503"] > 0
    if pause.until_ms + (untold and LONGEST_UNTOLD_MS or 0) <= now then
      pauses[credential] = nil
      count = count - 1
    end
  end
end

local function refuse(handle, pause)
  pause.refused[pause.status] = pause.refused[pause.status] + 1
  local headers = handle:headers()
  -- For the log and the trace, as the credential check has it elsewhere.
  headers:replace("x-weir-tenant", pause.tenant)
  handle:body()
  -- The text becomes the detail of the problem document that this gateway makes of each answer of its own.
  handle:respond(pause.headers, DETAILS[pause.status])
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
    local size = tonumber(headers:get("content-length"))
    if rest > 0 and rest <= LONGEST_PAUSE_MS and size ~= nil and size <= MOST_BYTES_TO_READ then
      refuse(handle, pause)
      return
    end
    local over_quota, too_many = pause.refused["429"], pause.refused["503"]
    if over_quota + too_many > 0 then
      headers:add("x-weir-refused-unread", over_quota .. " " .. too_many)
      pause.refused = {["429"] = 0, ["503"] = 0}
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
    pause = {refused = {["429"] = 0, ["503"] = 0}}
    pauses[asked.credential] = pause
    count = count + 1
  end
  pause.until_ms = now + math.min(tonumber(ms), LONGEST_PAUSE_MS)
  pause.tenant = tenant
  -- A pause may begin with an answer to a request of which a part was taken; what comes after it is refused as a whole.
  pause.status = headers:get(":status") == "503" and headers:get("ratelimit") == nil and "503" or "429"
  pause.headers = {[":status"] = pause.status, ["retry-after"] = headers:get("retry-after") or "1"}
  for _, name in ipairs({"ratelimit", "ratelimit-policy"}) do
    pause.headers[name] = headers:get(name)
  end
end
