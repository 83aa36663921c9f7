package emulatortest

import (
	"testing"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/hub"
)

// FaultRule is a rule in effect.
type FaultRule struct {
	hub *hub.Hub
	id  string
}

// Fault makes operations of a hub go wrong by a rule, until the test ends or the rule has had its count. Rules are tried in the order in which
// they were made, and the first that hits counts. docs/admin-api.md has a table of which actions an operation takes.
func Fault(t testing.TB, e *emulator.Emulator, hubName string, rule hub.FaultRule) *FaultRule {
	t.Helper()
	h := hubOf(t, e, hubName)
	state, err := h.AddFaultRule(rule)
	if err != nil {
		t.Fatalf("make a fault rule: %v", err)
	}
	f := &FaultRule{h, state.ID}
	t.Cleanup(f.Remove)
	return f
}

// Hits returns how many operations the rule has hit. It is 0 once the rule was removed.
func (f *FaultRule) Hits() int64 {
	for _, rule := range f.hub.FaultRules() {
		if rule.ID == f.id {
			return rule.Hits
		}
	}
	return 0
}

// Remove ends the rule. A second time it does nothing.
func (f *FaultRule) Remove() { f.hub.RemoveFaultRule(f.id) }
