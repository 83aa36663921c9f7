// Package bench holds measurements of the whole program. It has no code but
// its benchmarks. The command mqttload beside it compares with mosquitto.
package bench
