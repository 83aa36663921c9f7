// Package emulatortest starts emulators inside Go tests, and gives a test its grip on them: devices, waiting for what happens,
// the clock, faults, snapshots.
//
// # An emulator for a test
//
// Run starts one on free ports that keeps everything in memory, and ends it with the test:
//
//	func TestMyProgram(t *testing.T) {
//		e := emulatortest.Run(t, emulatortest.WithDevices("pump-7"))
//		info := e.Info()
//		// info.ConnectionStrings["iothubowner"], info.Devices["pump-7"], info.EventHub, info.CAFile, info.AdminURL ...
//	}
//
// It takes some milliseconds. WithSeed begins with what a seed file says, WithDataDir keeps files, WithConfig changes anything else.
// Clients trust the certificate by TLS, programs that the test starts by the file info.CAFile.
//
// # Devices and back ends
//
// MQTT returns what an MQTT client needs to connect as a device: address, client ID, user name, token and TLS configuration. Device makes
// another device. Back ends in Go read telemetry with azeventhubs and info.EventHub.EmulatorConnectionString, and call the
// service API with a token of emulator.ServiceToken.
//
// # Wait, do not poll
//
// WaitMessage and Wait return as soon as something has happened, and fail the test, telling what happened instead, when it does not. Everything
// that happened since the hub began counts; Position marks where a step of the test begins.
//
// # Hubs
//
// Tests that share an emulator, in parallel too, have a hub each by Hub. It is there in a millisecond, shares nothing with the others, and
// is gone with the test. The functions here that are about one hub take its name; "" is the one that every emulator has.
//
// # Time, faults, state
//
// Freeze, Advance and Resume are about the clock by which messages, tokens and time-outs expire: no test waits for them. Fault makes
// things go wrong by a rule. Snapshot returns what brings the state back, and Reset begins anew.
package emulatortest
