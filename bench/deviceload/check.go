package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	goamqp "github.com/Azure/go-amqp"
)

// partitions of the emulator by default.
const partitions = 4

// check compares what the hub has with what was done: all acknowledged telemetry is
// stored once, as its device sent it, and no cloud-to-device message waits any more.
func (f *fleet) check(ctx context.Context) error {
	if err := f.readBack(ctx); err != nil {
		return fmt.Errorf("stored telemetry: %w", err)
	}
	seen, waiting, continuation := 0, 0, ""
	query := []byte(`{"query":"SELECT deviceId, cloudToDeviceMessageCount FROM devices"}`)
	for first := true; first || continuation != ""; first = false {
		var rows []struct {
			Count int `json:"cloudToDeviceMessageCount"`
		}
		var err error
		if continuation, err = f.target.post(ctx, "/devices/query", query, continuation, &rows); err != nil {
			return err
		}
		for _, row := range rows {
			seen++
			waiting += row.Count
		}
	}
	if seen != len(f.devices) || waiting != 0 {
		return fmt.Errorf("the hub lists %d devices of %d, and %d cloud-to-device messages wait although all were acknowledged",
			seen, len(f.devices), waiting)
	}
	return nil
}

// readBack reads all telemetry as back ends do and takes each message off f.stored.
func (f *fleet) readBack(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience+time.Duration(len(f.stored))*time.Millisecond)
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	conn, session, err := f.target.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	var (
		mu    sync.Mutex
		group sync.WaitGroup
	)
	total := len(f.stored)
	if total == 0 {
		return nil
	}
	var receivers []*goamqp.Receiver
	for p := range partitions {
		source := fmt.Sprintf("%s/ConsumerGroups/$Default/Partitions/%d", f.target.entity, p)
		receiver, err := session.NewReceiver(ctx, source, &goamqp.ReceiverOptions{Credit: 1000})
		if err != nil {
			return err
		}
		receivers = append(receivers, receiver)
	}
	for _, receiver := range receivers {
		group.Go(func() {
			for {
				m, err := receiver.Receive(ctx, nil)
				if err != nil {
					fail(err)
					return
				}
				r, err := referenceOf(m)
				mu.Lock()
				if _, ok := f.stored[r]; err == nil && !ok {
					err = fmt.Errorf("%+v is there twice or was never sent", r)
				}
				delete(f.stored, r)
				left := len(f.stored)
				mu.Unlock()
				if err != nil {
					fail(err)
					return
				}
				if left == 0 {
					fail(errComplete)
				}
			}
		})
	}
	group.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, errComplete) {
		return fmt.Errorf("%d of %d messages not found: %w", len(f.stored), total, cause)
	}
	return nil
}

var errComplete = errors.New("nothing is missing")

// referenceOf returns what a stored message names, and an error when it is not
// as its device sent it.
func referenceOf(m *goamqp.Message) (reference, error) {
	var r reference
	if err := json.Unmarshal(m.GetData(), &r); err != nil {
		return r, err
	}
	if strings.Trim(r.Filler, "x") != "" {
		return r, fmt.Errorf("another filler: %s", m.GetData())
	}
	r.Filler = ""
	if sender := m.Annotations["iothub-connection-device-id"]; sender != r.Device {
		return r, fmt.Errorf("%+v is said to be from %v", r, sender)
	}
	return r, nil
}
