package main

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// Placeholders of the template; every other byte is sent as it stands.
const (
	placeTenant  = "@TENANT@"
	placeEvent   = "@EVENT@"
	placeTime    = "@TIME@"
	placeType    = "@TYPE@"
	placeSubtype = "@SUBTYPE@"
	placeUser    = "@USER@"
)

// How long an event must have been sent before its repeat is: its receipt is written by then.
const repeatAfter = 2 * time.Second

const notATime = "yesterday"

// events makes full-size events from one template: only ids, times, tenants and people change. An event is a function of
// its number, which its id carries, so that an answer tells which event it is about.
type events struct {
	given     plan
	parts     []string // text, placeholder, text, placeholder, …, text
	cumulated []float64
	guard     sync.Mutex
	next      uint64
	old       [][]sent // by tenant: what may be repeated
	accepted  []uint64 // a bit an event
}

type sent struct {
	number uint64
	at     time.Time
}

func newEvents(given plan) (*events, error) {
	text, err := os.ReadFile(given.Template)
	if err != nil {
		return nil, err
	}
	made := &events{given: given, old: make([][]sent, len(given.Tenants))}
	rest := string(text)
	for {
		from := strings.IndexByte(rest, '@')
		if from < 0 {
			break
		}
		to := from + 1 + strings.IndexByte(rest[from+1:], '@')
		made.parts = append(made.parts, rest[:from], rest[from:to+1])
		rest = rest[to+1:]
	}
	made.parts = append(made.parts, rest)
	sum := 0.0
	for _, one := range given.Tenants {
		sum += one.Weight
		made.cumulated = append(made.cumulated, sum)
	}
	if sum <= 0 {
		return nil, fmt.Errorf("the plan names no tenant with a weight")
	}
	return made, nil
}

// batch gives requests of one tenant each: events are sent with the tenant's own credential.
func (e *events) batch(url string) vegeta.Targeter {
	return func(target *vegeta.Target) error {
		tenant, numbers := e.take()
		body := make([]byte, 0, len(numbers)*8_192)
		body = append(body, `{"events":[`...)
		now := time.Now().UTC()
		for index, number := range numbers {
			if index > 0 {
				body = append(body, ',')
			}
			body = e.write(body, tenant, number, now, e.isPurchase(number), e.isInvalid(number))
		}
		body = append(body, `]}`...)
		e.aim(target, url+"/api/v2/events/batch", tenant, body)
		return nil
	}
}

// decision gives requests that ask whether one purchase is fraud.
func (e *events) decision(url string) vegeta.Targeter {
	return func(target *vegeta.Target) error {
		e.guard.Lock()
		number := e.next
		e.next++
		e.guard.Unlock()
		tenant := e.tenantOf(number)
		e.aim(target, url+"/api/v2/ml/inference/fraud", tenant, e.write(make([]byte, 0, 8_192), tenant, number, time.Now().UTC(), true, false))
		return nil
	}
}

func (e *events) aim(target *vegeta.Target, url string, tenant int, body []byte) {
	target.Method, target.URL, target.Body = http.MethodPost, url, body
	target.Header = http.Header{"Content-Type": {"application/json"}, "X-Api-Key": {e.given.Tenants[tenant].Key}}
}

// take gives the numbers of the next batch, some of them sent before.
func (e *events) take() (int, []uint64) {
	e.guard.Lock()
	defer e.guard.Unlock()
	tenant := e.tenantOf(e.next)
	numbers := make([]uint64, e.given.Batch)
	now := time.Now()
	old := e.old[tenant]
	for index := range numbers {
		if len(old) > 0 && now.Sub(old[0].at) > repeatAfter && share(e.given.Seed^0xd0b1e, e.next+uint64(index)) < e.given.DuplicateShare {
			numbers[index], old = old[0].number, old[1:]
			continue
		}
		numbers[index] = e.next
		e.next++
		// One in ten may be repeated, which bounds what is remembered; an invalid one has no receipt to be found by.
		if e.next%10 == 0 && !e.isInvalid(numbers[index]) && len(old) < 4_096 {
			old = append(old, sent{numbers[index], now})
		}
	}
	e.old[tenant] = old
	return tenant, numbers
}

func (e *events) write(body []byte, tenant int, number uint64, now time.Time, purchase, invalid bool) []byte {
	for index, part := range e.parts {
		if index%2 == 0 {
			body = append(body, part...)
			continue
		}
		switch part {
		case placeTenant:
			body = append(body, e.given.Tenants[tenant].ID...)
		case placeEvent:
			body = appendID(body, e.given.Seed, tenant, number)
		case placeTime:
			if invalid {
				body = append(body, notATime...)
			} else {
				body = now.AppendFormat(body, "2006-01-02T15:04:05.000000Z")
			}
		case placeType:
			body = append(body, choose(purchase, "transaction", "user_interaction")...)
		case placeSubtype:
			body = append(body, choose(purchase, "purchase", "page_view")...)
		case placeUser:
			// Each shops now and then, as people do.
			body = fmt.Appendf(body, "user-%d", number*7_919%uint64(e.given.People))
		default:
			body = append(body, part...)
		}
	}
	return body
}

func (e *events) isPurchase(number uint64) bool { return number%e.given.PurchaseEvery == 0 }

func (e *events) isInvalid(number uint64) bool {
	return share(e.given.Seed^0xbad, number) < e.given.InvalidShare
}

func (e *events) tenantOf(number uint64) int {
	wanted := share(e.given.Seed^0x7e4a47, number) * e.cumulated[len(e.cumulated)-1]
	return sort.SearchFloat64s(e.cumulated, wanted)
}

// count reads the answer to a batch; false when it is none.
func (e *events) count(result *vegeta.Result, made *report) bool {
	var answer struct {
		Results []struct {
			Status  string `json:"status"`
			EventID string `json:"event_id"`
		} `json:"results"`
	}
	if result.Code == http.StatusTooManyRequests && json.Unmarshal(result.Body, &answer) == nil && answer.Results == nil {
		made.Sent["answered"] += e.given.Batch
		made.Fates["refused_unread"] += e.given.Batch
		return true
	}
	if result.Code == 0 || json.Unmarshal(result.Body, &answer) != nil || answer.Results == nil {
		made.Errors[fmt.Sprintf("%d %s", result.Code, result.Error)]++
		made.Sent["unanswered"] += e.given.Batch
		return false
	}
	for _, one := range answer.Results {
		made.Sent["answered"]++
		made.Fates[one.Status]++
		if one.Status != "accepted" {
			continue
		}
		tenant, number, err := partsOf(one.EventID)
		if err != nil || tenant >= len(e.given.Tenants) {
			made.Errors["not an id of ours: "+one.EventID]++
			continue
		}
		for uint64(len(e.accepted)) <= number/64 {
			e.accepted = append(e.accepted, make([]uint64, 1_024)...)
		}
		if bit := uint64(1) << (number % 64); e.accepted[number/64]&bit == 0 {
			e.accepted[number/64] |= bit
			made.Unique[e.given.Tenants[tenant].ID]++
			if e.isPurchase(number) {
				made.Purchases[e.given.Tenants[tenant].ID]++
			}
		}
	}
	return true
}

// An id is a UUID of version 8 (RFC 9562: free for experiments): mixed bits, then 16 bits of the tenant, then 44 of the number.
func appendID(body []byte, seed uint64, tenant int, number uint64) []byte {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], mix(seed^mix(number)))
	binary.BigEndian.PutUint64(raw[8:], uint64(tenant)<<44|number)
	raw[6] = raw[6]&0x0f | 0x80
	raw[8] = raw[8]&0x3f | 0x80
	text := hex.AppendEncode(make([]byte, 0, 32), raw[:])
	for index, from := range []int{0, 8, 12, 16, 20} {
		if index > 0 {
			body = append(body, '-')
		}
		body = append(body, text[from:[]int{8, 12, 16, 20, 32}[index]]...)
	}
	return body
}

func partsOf(id string) (tenant int, number uint64, err error) {
	raw, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
	if err != nil || len(raw) != 16 {
		return 0, 0, fmt.Errorf("not an id of ours: %q", id)
	}
	low := binary.BigEndian.Uint64(raw[8:]) & 0x3fff_ffff_ffff_ffff
	return int(low >> 44), low & (1<<44 - 1), nil
}

func choose(condition bool, yes, no string) string {
	if condition {
		return yes
	}
	return no
}

// share gives a number in [0, 1) that depends on nothing but its arguments.
func share(seed, number uint64) float64 {
	return math.Ldexp(float64(mix(seed^mix(number))>>11), -53)
}

// mix is the finalizer of splitmix64 (Steele, Lea, Flood 2014).
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}
