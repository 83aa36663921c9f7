package main

import (
	"slices"
	"testing"
)

func TestBuiltinEvents(t *testing.T) {
	for _, tt := range []struct{ given, want []string }{
		{[]string{"TwinChangeEvents"}, []string{"TwinChangeEvents"}},
		{[]string{"TwinChangeEvents", "DeviceLifecycleEvents"}, []string{"TwinChangeEvents", "DeviceLifecycleEvents"}},
		{[]string{"none"}, []string{}},
		{[]string{"none", "TwinChangeEvents"}, []string{"none", "TwinChangeEvents"}}, // which Validate refuses
	} {
		s := Settings{InMemory: true, BuiltinEvents: tt.given}
		cfg, err := s.config(map[string]string{})
		if err != nil {
			t.Fatal(err)
		}
		// Nil would be the default, not none.
		if cfg.BuiltInEvents == nil || !slices.Equal(cfg.BuiltInEvents, tt.want) {
			t.Errorf("%v: %#v", tt.given, cfg.BuiltInEvents)
		}
	}
	s := Settings{InMemory: true, BuiltinEvents: []string{"none", "TwinChangeEvents"}}
	cfg, err := s.config(map[string]string{})
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.Validate(); err == nil {
		t.Error("none with another one is accepted")
	}
}
