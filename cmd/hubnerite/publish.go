package main

import (
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

func secondsOf(n int) time.Duration { return time.Duration(n) * time.Second }

// publish sends one message as a device over MQTT and waits for the PUBACK.
func (s *service) publish(connectionString, device, bag, body string) error {
	d, err := s.dial(connectionString, iothub.ID{DeviceID: device}, deviceOptions{life: 5 * time.Minute})
	if err != nil {
		return err
	}
	defer d.close()
	return d.telemetry(bag, []byte(body))
}
