package main

import (
	"time"
)

type healthCmd struct {
	Wait time.Duration `placeholder:"DURATION" help:"Wait so long for it, for example 30s."`
}

// healthInterval is the time between two questions.
const healthInterval = 100 * time.Millisecond

// Run returns nil when the emulator says that every listener is bound.
func (c *healthCmd) Run(a *app) error {
	for end := time.Now().Add(c.Wait); ; time.Sleep(healthInterval) {
		_, err := a.ask("/health")
		if err == nil || !time.Now().Before(end) {
			return err
		}
	}
}
