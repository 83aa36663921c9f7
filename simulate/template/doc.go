// Package template renders texts and JSON values with placeholders such as {{walk 20 30 0.5}}: what simulated devices send. It knows
// nothing of hubs. A Template is compiled once and shared; what it remembers between renderings, such as the last number of a
// sequence, is in a State, one for each device.
package template
