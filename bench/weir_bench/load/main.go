// weir-load offers events to the gateway in an open loop, by vegeta, and counts what became of each.
//
// It reads a plan (JSON, the first argument) and runs its phases one after another over the same connections. For each it
// prints {"phase": …, "began": true} when it begins and its report when it has ended, one JSON document a line.
// Latency counts from the intended time of sending, so a stall shows in every request that it delays.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"sort"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

type plan struct {
	URL            string   `json:"url"`
	CA             string   `json:"ca"`
	Template       string   `json:"template"`
	Tenants        []tenant `json:"tenants"`
	Batch          int      `json:"batch"`
	People         int      `json:"people"`
	PurchaseEvery  uint64   `json:"purchase_every"`
	InvalidShare   float64  `json:"invalid_share"`
	DuplicateShare float64  `json:"duplicate_share"`
	Seed           uint64   `json:"seed"`
	Connections    int      `json:"connections"`
	Phases         []phase  `json:"phases"`
}

type tenant struct {
	ID     string  `json:"id"`
	Key    string  `json:"key"`
	Weight float64 `json:"weight"`
}

type phase struct {
	Name      string  `json:"name"`
	Rate      float64 `json:"rate"`
	Decisions float64 `json:"decisions"`
	Seconds   float64 `json:"seconds"`
}

type quantiles struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
}

type report struct {
	Phase     string         `json:"phase"`
	Seconds   float64        `json:"seconds"`
	Sent      map[string]int `json:"sent"`
	Fates     map[string]int `json:"fates"`
	Unique    map[string]int `json:"unique"`
	Purchases map[string]int `json:"purchases"`
	Errors    map[string]int `json:"errors"`
	Batches   quantiles      `json:"batches"`
	Decisions quantiles      `json:"decisions"`
	EachTen   []quantiles    `json:"each_ten_seconds"`
}

const (
	timeout    = 15 * time.Second
	maxWorkers = 2000
)

// endWithParent ends the program when whoever started it has ended, however that was: nobody would read the reports, and the
// load would go on beside the next measurement.
func endWithParent() {
	parent := os.Getppid()
	for os.Getppid() == parent {
		time.Sleep(time.Second)
	}
	os.Exit(1)
}

func main() {
	go endWithParent()
	if len(os.Args) != 2 {
		fail(fmt.Errorf("usage: weir-load PLAN.json"))
	}
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		fail(err)
	}
	var given plan
	if err := json.Unmarshal(text, &given); err != nil {
		fail(fmt.Errorf("%s: %w", os.Args[1], err))
	}
	client, err := newClient(given)
	if err != nil {
		fail(err)
	}
	events, err := newEvents(given)
	if err != nil {
		fail(err)
	}
	out := json.NewEncoder(os.Stdout)
	for _, one := range given.Phases {
		if err := out.Encode(map[string]any{"phase": one.Name, "began": true}); err != nil {
			fail(err)
		}
		if err := out.Encode(run(given, one, client, events)); err != nil {
			fail(err)
		}
	}
}

func newClient(given plan) (*http.Client, error) {
	text, err := os.ReadFile(given.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", given.CA)
	}
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{RootCAs: roots},
			MaxIdleConnsPerHost: given.Connections,
			MaxConnsPerHost:     given.Connections,
		},
	}, nil
}

func run(given plan, one phase, client *http.Client, events *events) report {
	made := report{
		Phase: one.Name, Seconds: one.Seconds,
		Sent: map[string]int{}, Fates: map[string]int{}, Unique: map[string]int{}, Purchases: map[string]int{}, Errors: map[string]int{},
	}
	var batches, decisions []sample
	var both sync.WaitGroup
	var guard sync.Mutex
	if one.Rate > 0 {
		both.Go(func() {
			batches = attack(client, events.batch(given.URL), one.Rate/float64(given.Batch), one.Seconds, func(result *vegeta.Result) bool {
				guard.Lock()
				defer guard.Unlock()
				return events.count(result, &made)
			})
		})
	}
	if one.Decisions > 0 {
		both.Go(func() {
			decisions = attack(client, events.decision(given.URL), one.Decisions, one.Seconds, func(result *vegeta.Result) bool {
				guard.Lock()
				defer guard.Unlock()
				if result.Code != http.StatusOK {
					made.Errors[fmt.Sprintf("decision %d %s", result.Code, result.Error)]++
				}
				return result.Code == http.StatusOK
			})
		})
	}
	both.Wait()
	made.Batches, made.Decisions = quantilesOf(batches), quantilesOf(decisions)
	for from := 0.0; from < one.Seconds; from += 10 {
		var part []sample
		for _, taken := range batches {
			if taken.due >= from && taken.due < from+10 {
				part = append(part, taken)
			}
		}
		made.EachTen = append(made.EachTen, quantilesOf(part))
	}
	return made
}

// sample is one answered request: seconds from the phase's begin to its intended sending, and from there to its answer.
type sample struct{ due, latency float64 }

func attack(client *http.Client, targeter vegeta.Targeter, rate, seconds float64, judge func(*vegeta.Result) bool) []sample {
	// A pacer counts in whole hits: ten thousand of them in as long as they take.
	pacer := vegeta.ConstantPacer{Freq: 10_000, Per: time.Duration(10_000 / rate * float64(time.Second))}
	attacker := vegeta.NewAttacker(vegeta.Client(client), vegeta.Workers(64), vegeta.MaxWorkers(maxWorkers))
	began := time.Now()
	var samples []sample
	for result := range attacker.Attack(targeter, pacer, time.Duration(seconds*float64(time.Second)), "weir") {
		// The pacer's first hit is one interval after its begin.
		due := float64(result.Seq+1) / rate
		if judge(result) {
			samples = append(samples, sample{due, result.Timestamp.Add(result.Latency).Sub(began).Seconds() - due})
		}
	}
	return samples
}

func quantilesOf(samples []sample) quantiles {
	if len(samples) == 0 {
		return quantiles{}
	}
	sorted := make([]float64, len(samples))
	for index, taken := range samples {
		sorted[index] = taken.latency
	}
	sort.Float64s(sorted)
	at := func(share float64) float64 { return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))] }
	return quantiles{len(sorted), at(0.50), at(0.95), at(0.99), at(0.999), sorted[len(sorted)-1]}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
