//go:build conformance

package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// eventLedger is what each device sent and what of it was acknowledged.
type eventLedger map[string]*deviceLedger

type deviceLedger struct {
	sent         int   // the highest number sent; the first is 1
	acknowledged []int // in the order of the acknowledgements
}

// crashEvent is one event that a reader was given.
type crashEvent struct {
	sequence int64
	device   string
	number   int
}

// compare says what is wrong with the events of each partition, read from the first to the last: every acknowledged message is
// there exactly once, and messages without an acknowledgement at most once; a device's messages are in one partition, in the
// order sent; sequence numbers start at 0 and have no gap.
func (l eventLedger) compare(partitions map[string][]crashEvent) (complaints []string) {
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	home := map[string]string{}
	read := map[string]map[int]bool{}
	for partition, events := range partitions {
		last := map[string]int{}
		for i, e := range events {
			if e.sequence != int64(i) {
				complain("partition %s: event %d has sequence number %d", partition, i, e.sequence)
			}
			if l[e.device] == nil || e.number < 1 || e.number > l[e.device].sent {
				complain("partition %s: %s %d was never sent", partition, e.device, e.number)
				continue
			}
			if other, ok := home[e.device]; ok && other != partition {
				complain("%s is in partitions %s and %s", e.device, other, partition)
			}
			home[e.device] = partition
			if read[e.device] == nil {
				read[e.device] = map[int]bool{}
			}
			if read[e.device][e.number] {
				complain("%s %d is there twice", e.device, e.number)
			} else if e.number < last[e.device] {
				complain("%s %d comes after %d", e.device, e.number, last[e.device])
			}
			read[e.device][e.number] = true
			last[e.device] = max(last[e.device], e.number)
		}
	}
	for device, d := range l {
		for _, n := range d.acknowledged {
			if !read[device][n] {
				complain("%s %d was acknowledged and is lost", device, n)
			}
		}
	}
	return complaints
}

// compareReads says where a later read of the partitions does not begin with what an earlier one gave.
func compareReads(before, after map[string][]crashEvent) (complaints []string) {
	for partition, events := range before {
		now := after[partition]
		if n := min(len(events), len(now)); len(now) < len(events) || !slices.Equal(events, now[:n]) {
			complaints = append(complaints, fmt.Sprintf("partition %s: %d events were read before, and now they are others", partition, len(events)))
		}
	}
	return complaints
}

// compareFollowed says which events were read when they came and are not there any more, or are others.
func compareFollowed(followed, read map[string][]crashEvent) (complaints []string) {
	for partition, events := range followed {
		now := read[partition]
		for _, e := range events {
			if e.sequence >= int64(len(now)) || now[e.sequence] != e {
				complaints = append(complaints, fmt.Sprintf("partition %s: event %d was %s %d when it came, and is not any more", partition, e.sequence, e.device, e.number))
			}
		}
	}
	return complaints
}

// TestEventLedger makes sure that the check of the kill -9 test can fail.
func TestEventLedger(t *testing.T) {
	ledger := func() eventLedger {
		return eventLedger{"a": {5, []int{1, 2, 4}}, "b": {2, []int{2, 1}}}
	}
	good := func() map[string][]crashEvent {
		return map[string][]crashEvent{"0": {{0, "a", 1}, {1, "a", 2}, {2, "a", 4}, {3, "a", 5}}, "1": {{0, "b", 1}, {1, "b", 2}}, "2": nil}
	}
	for _, tc := range []struct {
		name   string
		change func(l eventLedger, p map[string][]crashEvent)
		want   string // of the first complaint; "" means that nothing is wrong
	}{
		{"good", func(eventLedger, map[string][]crashEvent) {}, ""},
		{"not acknowledged, not there", func(_ eventLedger, p map[string][]crashEvent) { p["0"] = p["0"][:3] }, ""},
		{"lost", func(_ eventLedger, p map[string][]crashEvent) { p["1"] = p["1"][:1] }, "b 2 was acknowledged and is lost"},
		{"lost in the middle", func(_ eventLedger, p map[string][]crashEvent) {
			p["0"] = []crashEvent{{0, "a", 1}, {1, "a", 4}, {2, "a", 5}}
		}, "a 2 was acknowledged and is lost"},
		{"twice", func(_ eventLedger, p map[string][]crashEvent) {
			p["1"] = append(p["1"], crashEvent{2, "b", 2})
		}, "b 2 is there twice"},
		{"twice, not acknowledged", func(_ eventLedger, p map[string][]crashEvent) {
			p["0"] = append(p["0"], crashEvent{4, "a", 5})
		}, "a 5 is there twice"},
		{"swapped", func(_ eventLedger, p map[string][]crashEvent) {
			p["0"][1].number, p["0"][2].number = 4, 2
		}, "a 2 comes after 4"},
		{"gap", func(_ eventLedger, p map[string][]crashEvent) { p["1"][1].sequence = 2 }, "event 1 has sequence number 2"},
		{"repeated sequence number", func(_ eventLedger, p map[string][]crashEvent) { p["1"][1].sequence = 0 }, "event 1 has sequence number 0"},
		{"two partitions", func(_ eventLedger, p map[string][]crashEvent) {
			p["2"], p["1"] = []crashEvent{{0, "b", 2}}, p["1"][:1]
		}, "b is in partitions"},
		{"never sent", func(_ eventLedger, p map[string][]crashEvent) {
			p["2"] = []crashEvent{{0, "c", 1}}
		}, "c 1 was never sent"},
		{"not yet sent", func(l eventLedger, _ map[string][]crashEvent) { l["a"].sent = 4 }, "a 5 was never sent"},
	} {
		l, p := ledger(), good()
		tc.change(l, p)
		complaints := l.compare(p)
		if tc.want == "" && len(complaints) > 0 || tc.want != "" && (len(complaints) == 0 || !strings.Contains(complaints[0], tc.want)) {
			t.Errorf("%s: %q, want %q", tc.name, complaints, tc.want)
		}
	}
	changed := good()
	changed["0"][0].number = 3
	if compareReads(good(), good()) != nil || len(compareReads(good(), changed)) != 1 || len(compareReads(good(), nil)) != 2 {
		t.Error("a change between two reads is not noticed")
	}
	late := map[string][]crashEvent{"0": {{1, "a", 2}, {3, "a", 5}}}
	gone := good()
	gone["0"] = gone["0"][:3]
	other := good()
	other["0"][1].number = 3
	if compareFollowed(late, good()) != nil || len(compareFollowed(late, gone)) != 1 || len(compareFollowed(late, other)) != 1 {
		t.Error("an event that was read and is gone is not noticed")
	}
}
