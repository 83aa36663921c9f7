package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// table of one scenario over one transport.
type table struct {
	scenario  scenario
	transport string
	settings  settings
	servers   []*server
	results   [][]result // by server, then round
}

func newTable(sc scenario, transport string, s settings, servers []*server) *table {
	return &table{scenario: sc, transport: transport, settings: s, servers: servers, results: make([][]result, len(servers))}
}

// print writes the table and returns the number of missed targets. The last
// server is mosquitto, if it runs at all.
func (t *table) print(out io.Writer) (missed int) {
	_, _ = fmt.Fprintf(out, "\n%d devices x %d in flight, QoS 1, %d bytes, %s: %d rounds, median (lowest to highest)\n",
		t.scenario.devices, t.scenario.window, t.settings.payload, t.transport, t.settings.rounds)
	base := len(t.servers) - 1
	compared := t.servers[base].durability == ""
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprint(w, "\tacknowledged/s\tp50\tp99\tserver CPU/msg")
	if compared {
		_, _ = fmt.Fprint(w, "\trate : mosquitto\tp50 : mosquitto\ttarget")
	}
	_, _ = fmt.Fprintln(w)
	for i, s := range t.servers {
		rates := t.values(i, func(r result) float64 { return r.rate })
		p50 := t.values(i, func(r result) float64 { return float64(r.p50) })
		p99 := t.values(i, func(r result) float64 { return float64(r.p99) })
		cpu := t.values(i, func(r result) float64 { return float64(r.cpu) })
		_, _ = fmt.Fprintf(w, "%s\t%.0f (%.0f to %.0f)\t%s\t%s\t%.1f us", s.name, median(rates), slices.Min(rates), slices.Max(rates),
			micro(median(p50)), micro(median(p99)), median(cpu)/1000)
		if compared && i != base {
			rate := t.ratios(i, base, func(r result) float64 { return r.rate })
			latency := t.ratios(i, base, func(r result) float64 { return float64(r.p50) })
			verdict, ok := t.judge(s.durability, median(rate), median(latency))
			if !ok {
				missed++
			}
			_, _ = fmt.Fprintf(w, "\t%.2f (%.2f to %.2f)\t%.2f (%.2f to %.2f)\t%s", median(rate), slices.Min(rate), slices.Max(rate),
				median(latency), slices.Min(latency), slices.Max(latency), verdict)
		}
		_, _ = fmt.Fprintln(w)
	}
	_ = w.Flush()
	return missed
}

// judge compares with the target, if there is one. It is for plain connections.
func (t *table) judge(durability string, rate, latency float64) (verdict string, ok bool) {
	if t.transport != "plain" {
		return "-", true
	}
	word := func(ok bool) string {
		if ok {
			return "met"
		}
		return "MISSED"
	}
	if want := t.scenario.throughput[durability]; want > 0 {
		ok = rate >= want
		return fmt.Sprintf("rate >= %.1f: %s", want, word(ok)), ok
	}
	if want := t.scenario.p50; want > 0 && durability == "os" {
		ok = latency <= want
		return fmt.Sprintf("p50 <= %.1f: %s", want, word(ok)), ok
	}
	return "-", true
}

func (t *table) values(server int, f func(result) float64) []float64 {
	var all []float64
	for _, r := range t.results[server] {
		all = append(all, f(r))
	}
	return all
}

// ratios compares the two servers round by round.
func (t *table) ratios(server, base int, f func(result) float64) []float64 {
	all := t.values(server, f)
	for i, b := range t.values(base, f) {
		all[i] /= b
	}
	return all
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func micro(ns float64) string {
	return time.Duration(ns).Round(time.Microsecond).String()
}
