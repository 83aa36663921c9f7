package main

import "testing"

func TestIdleness(t *testing.T) {
	const mega = 1 << 20
	var i idleness
	for n, step := range []struct {
		cycles, allocated uint64
		want              bool
	}{
		{5, 100 * mega, false}, // it is at work
		{9, 900 * mega, false},
		{9, 901 * mega, false},
		{9, 902 * mega, false},
		{9, 903 * mega, true},   // for a while there was no collection
		{11, 903 * mega, false}, // that is what freeing did
		{11, 904 * mega, false},
		{11, 905 * mega, false},
		{11, 906 * mega, false},
		{11, 906 * mega, false}, // there is little to be had
		{11, 968 * mega, true},  // slowly there came something together
		{12, 990 * mega, false},
		{13, 2000 * mega, false},
		{13, 2000 * mega, false},
		{14, 2001 * mega, false}, // the runtime's own collection of two idle minutes
		{14, 2001 * mega, false},
		{14, 2001 * mega, false},
		{14, 2001 * mega, true},
	} {
		if got := i.observe(step.cycles, step.allocated); got != step.want {
			t.Errorf("step %d: %v", n, got)
		}
	}
}
