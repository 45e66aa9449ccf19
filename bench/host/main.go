// Command host measures plugin executables for Velero side by side.
//
//	host < request.json > measurements.jsonl
//
// It starts each candidate as Velero does, talks to it over its socket with
// Velero's own messages, and takes turns between the candidates in everything
// it measures, so that a noisy machine hurts all alike. Standard input is one
// request, standard output one series a line.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
)

// request is what to measure.
type request struct {
	Candidates []candidate `json:"candidates"`
	// Measures names those to take; none means all.
	Measures []string `json:"measures"`
	// Directory takes the object stores' files, on a real disk.
	Directory string `json:"directory"`
	// Scale divides how often everything is done, for a quick look.
	Scale int `json:"scale"`
}

// candidate is one plugin executable.
type candidate struct {
	Name string   `json:"name"`
	File string   `json:"file"`
	Args []string `json:"args"`
	// Store is the executable with its object store, if it has one.
	Store string `json:"store"`
	// Env is added to what Velero gives a plugin.
	Env []string `json:"env"`
}

// series is what was measured of one candidate.
type series struct {
	// Measure says what, as in `execute 4 KiB changed`.
	Measure   string  `json:"measure"`
	Candidate string  `json:"candidate"`
	Unit      string  `json:"unit"`
	N         int     `json:"n"`
	P50       float64 `json:"p50"`
	P95       float64 `json:"p95"`
	P99       float64 `json:"p99"`
}

var measures = []struct {
	name string
	take func(*bench) error
}{
	{"file", (*bench).file},
	{"start", (*bench).start},
	{"execute", (*bench).execute},
	{"concurrent", (*bench).concurrent},
	{"memory", (*bench).memory},
	{"cluster", (*bench).cluster},
	{"cpu", (*bench).cpu},
	{"store", (*bench).store},
	{"scale", (*bench).scale},
}

type bench struct {
	request
	api *apiServer
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	b := &bench{}
	if err := json.NewDecoder(os.Stdin).Decode(&b.request); err != nil {
		return fmt.Errorf("the request on stdin is no JSON: %w", err)
	}
	b.Scale = max(b.Scale, 1)
	api, err := startAPIServer(b.Directory)
	if err != nil {
		return err
	}
	defer api.close()
	b.api = api
	for _, measure := range measures {
		if len(b.Measures) > 0 && !slices.Contains(b.Measures, measure.name) {
			continue
		}
		if err := measure.take(b); err != nil {
			return fmt.Errorf("%s: %w", measure.name, err)
		}
	}
	return nil
}

// times is how often something is done, at the request's scale.
func (b *bench) times(n int) int { return max(n/b.Scale, 3) }

// each takes turns between the candidates; the first one changes from round to
// round, lest one always have the caches that another one warmed. In round 0
// things are not yet as they will be.
func (b *bench) each(candidates []candidate, rounds int, do func(c candidate, round int) error) error {
	for round := range rounds {
		for i := range candidates {
			c := candidates[(i+round)%len(candidates)]
			if err := do(c, round); err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
		}
	}
	return nil
}

// samples of each candidate, by measure, in the order of their first sample.
type samples struct {
	order  []series
	values map[series][]float64
}

func (s *samples) add(measure string, c candidate, unit string, value float64) {
	key := series{Measure: measure, Candidate: c.Name, Unit: unit}
	if s.values == nil {
		s.values = map[series][]float64{}
	}
	if _, known := s.values[key]; !known {
		s.order = append(s.order, key)
	}
	s.values[key] = append(s.values[key], value)
}

func (s *samples) print() {
	out := json.NewEncoder(os.Stdout)
	for _, key := range s.order {
		values := slices.Sorted(slices.Values(s.values[key]))
		at := func(percent int) float64 { return values[(len(values)-1)*percent/100] }
		key.N, key.P50, key.P95, key.P99 = len(values), at(50), at(95), at(99)
		_ = out.Encode(key)
	}
}
