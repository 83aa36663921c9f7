package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

func TestConsumerGroups(t *testing.T) {
	f := newFixture(t)
	if got := f.ConsumerGroups(); !slices.Equal(got, []string{"$Default"}) {
		t.Errorf("%v", got)
	}
	for _, name := range []string{"beta", "Alpha.1", "BETA", "$default", "x"} {
		if err := f.AddConsumerGroup(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	want := []string{"$Default", "Alpha.1", "beta", "x"}
	if got := f.ConsumerGroups(); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	for _, bad := range []string{"", "a b", "-a", "a-", "a/b", "$other", "ä", string(make([]byte, 51))} {
		if err := f.AddConsumerGroup(bad); iothub.ErrorCode(err) != iothub.CodeArgumentInvalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if there, err := f.RemoveConsumerGroup("X"); !there || err != nil {
		t.Error(there, err)
	}
	if there, err := f.RemoveConsumerGroup("x"); there || err != nil {
		t.Error(there, err)
	}
	if _, err := f.RemoveConsumerGroup("$default"); iothub.ErrorCode(err) != iothub.CodeArgumentInvalid {
		t.Error(err)
	}
	// They are there after a restart, under the names that they were given.
	f.restart()
	if got := f.ConsumerGroups(); !slices.Equal(got, want[:3]) {
		t.Errorf("after a restart: %v", got)
	}
	if name, ok := f.ConsumerGroup("alpha.1"); !ok || name != "Alpha.1" {
		t.Error(name, ok)
	}
	for i := range MaxConsumerGroups - 3 {
		if err := f.AddConsumerGroup(fmt.Sprint("g", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.AddConsumerGroup("more"); iothub.ErrorCode(err) != iothub.CodeIotHubQuotaExceeded {
		t.Error(err)
	}
}

func TestEvents(t *testing.T) {
	f := newFixture(t)
	for _, p := range []int{-1, f.Partitions()} {
		_, errInfo := f.PartitionInfo(p)
		_, errFind := f.FindEvent(t.Context(), p, store.Position{Kind: store.PositionLatest})
		_, errRead := f.ReadEvents(t.Context(), p, 0, 1)
		for _, err := range []error{errInfo, errFind, errRead, f.WaitEvent(t.Context(), p, 0)} {
			if iothub.ErrorCode(err) != iothub.CodeArgumentInvalid {
				t.Errorf("partition %d: %v", p, err)
			}
		}
	}
	// What cannot be read is passed over, wherever it stands.
	log := f.store.Log()
	for _, payload := range [][]byte{
		{99}, {98}, iothub.AppendTelemetry(nil, &iothub.Telemetry{ID: iothub.ID{DeviceID: "d"}, Source: iothub.MessageSourceTwinChange}), {97},
	} {
		done := make(chan error, 1)
		log.Append(t.Context(), 0, f.now(), payload, func(_ store.LogRecord, err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if err := f.WaitEvent(t.Context(), 0, 0); err != nil {
		t.Fatal(err)
	}
	got, err := f.ReadEvents(t.Context(), 0, 0, 1)
	if err != nil || len(got) != 1 || got[0].SequenceNumber != 2 || got[0].Source != iothub.MessageSourceTwinChange || got[0].ID.DeviceID != "d" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err = f.ReadEvents(t.Context(), 0, 3, 10); err != nil || len(got) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	// A waiting reader hears its own end and the hub's.
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error)
	go func() { errs <- f.WaitEvent(ctx, 1, 0) }()
	cancel()
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	go func() { errs <- f.WaitEvent(t.Context(), 1, 0) }()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-errs; iothub.ErrorCode(err) != iothub.CodeServiceUnavailable {
		t.Error(err)
	}
}
