package main

import "fmt"

// scenario is so many devices, each with so many messages in flight, at QoS 1.
type scenario struct {
	devices, window int
	// targets by durability: throughput at least so many times mosquitto's.
	throughput map[string]float64
	// p50 is the largest median latency, in mosquitto's; 0 for no target. It is
	// for the durability os.
	p50 float64
}

func (s scenario) name() string { return fmt.Sprintf("%dx%d", s.devices, s.window) }

// allScenarios returns what is measured. The targets are for connections
// without TLS, as mosquitto's numbers with TLS say more about OpenSSL than about it.
func allScenarios() []scenario {
	return []scenario{
		{devices: 10, window: 64, throughput: map[string]float64{"os": 4, "fsync": 2}},
		{devices: 100, window: 8, throughput: map[string]float64{"os": 2.5}},
		{devices: 1, window: 1, p50: 1.5},
	}
}
