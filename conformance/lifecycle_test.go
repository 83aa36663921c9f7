//go:build conformance

package conformance

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"
)

// lifecycleScenarios are about connections and processes that end and come back.
func lifecycleScenarios() []scenario {
	return []scenario{
		{"python_sas_renewal", []string{"python"}, sasRenewal},
		{"python_device_restart", []string{"python"}, deviceRestart},
		{"python_emulator_killed", []string{"python"}, emulatorKilled},
		{"python_emulator_stopped", []string{"python"}, emulatorStopped},
	}
}

// pair is a device and a back end that do as they are told.
type pair struct {
	t               *testing.T
	hub             *hub
	device, service *program
	step            int
}

func newPair(t *testing.T, s *site, env ...string) *pair {
	t.Helper()
	return newPairOn(t, s, s.startHub(t, "--device", "d1"), env...)
}

func newPairOn(t *testing.T, s *site, h *hub, env ...string) *pair {
	t.Helper()
	p := &pair{t: t, hub: h}
	p.service = s.startPython(t, h.env(env...), "service.py")
	p.startDevice(s, env...)
	return p
}

func (p *pair) startDevice(s *site, env ...string) {
	p.t.Helper()
	p.device = s.startPython(p.t, p.hub.env(append(env, p.hub.device("d1"))...), "device.py")
	p.device.waitLine(`^ready`, 1, time.Minute)
}

// ask gives the back end a command and waits for its answer. An SDK error is repeated for a while when the emulator has just
// been away: the SDKs notice a dead connection only by using it.
func (p *pair) ask(patience time.Duration, command map[string]any) map[string]any {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		p.step++
		tag := fmt.Sprint("tag-", p.step)
		command["tag"] = tag
		p.service.send(command)
		line := p.service.waitLine(`^(done|error) (\{.*"tag": "`+tag+`".*\})$`, 1, time.Minute)
		if line[1] == "done" {
			var answer map[string]any
			if err := json.Unmarshal([]byte(line[2]), &answer); err != nil {
				p.t.Fatal(err)
			}
			return answer
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("back end: %s", line[2])
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// checkAll uses every kind of traffic once: C2D, a method, a desired change, telemetry and a reported property. None of it asks
// the device to subscribe again.
func (p *pair) checkAll(label string, patience time.Duration) {
	p.t.Helper()
	p.ask(patience, map[string]any{"do": "c2d", "device": "d1", "body": label, "properties": map[string]any{"label": label}})
	p.device.waitLine(`^c2d \{"body": "`+label+`", .*"properties": \{"label": "`+label+`"\}\}`, 1, time.Minute)

	answer := p.ask(patience, map[string]any{"do": "method", "device": "d1", "name": "echo", "payload": label})
	if got := fmt.Sprint(answer["status"], answer["payload"]); got != "200map[echo:"+label+"]" && got != "200 map[echo:"+label+"]" {
		p.t.Errorf("method after %s: %s", label, got)
	}
	p.ask(patience, map[string]any{"do": "desired", "device": "d1", "patch": map[string]any{"label": label}})
	p.device.waitLine(`^desired .*"label": "`+label+`"`, 1, time.Minute)

	p.device.send(map[string]any{"do": "telemetry", "body": "telemetry " + label})
	p.device.waitLine(`^done .*"telemetry `+label+`"`, 1, time.Minute)
	p.device.send(map[string]any{"do": "reported", "patch": map[string]any{"label": label}})
	p.device.waitLine(`^done .*"do": "reported", "patch": \{"label": "`+label+`"\}`, 1, time.Minute)
	twin := p.ask(patience, map[string]any{"do": "twin", "device": "d1"})
	if reported, _ := twin["reported"].(map[string]any); reported["label"] != label {
		p.t.Errorf("reported after %s: %v", label, twin["reported"])
	}
}

// wantTelemetry checks that every acknowledged message is kept. A message may be there twice where a connection was cut
// between the append and the acknowledgement.
func (p *pair) wantTelemetry(labels ...string) {
	p.t.Helper()
	kept := map[string]bool{}
	for _, m := range p.hub.messages("d1") {
		kept[m.Body] = true
	}
	for _, label := range labels {
		if !kept["telemetry "+label] {
			p.t.Errorf("the telemetry %q is lost: %v", label, kept)
		}
	}
}

// sasRenewal lets the SDK renew its token, which it does by connecting anew without subscribing again.
func sasRenewal(t *testing.T, s *site) {
	// The SDK renews 120 s before the end of the token: after 10 s, and after 20 s.
	newPair(t, s, "SASTOKEN_TTL=130").renewTwice()
}

func (p *pair) renewTwice() {
	p.checkAll("before", 0)
	p.device.waitLine(`^connection \{"connected": true\}`, 2, time.Minute)
	p.checkAll("renewed-once", 0)
	p.device.waitLine(`^connection \{"connected": true\}`, 3, time.Minute)
	p.checkAll("renewed-twice", 0)
	p.wantTelemetry("before", "renewed-once", "renewed-twice")
	p.cell("sas-renewal")
}

// cell has the device print a cell of the matrix, for a feature that the runner has checked.
func (p *pair) cell(feature string) {
	p.t.Helper()
	if p.t.Failed() {
		return
	}
	p.device.send(map[string]any{"do": "cell", "feature": feature})
	p.device.waitLine(`^cell: .* `+feature+` pass$`, 1, time.Minute)
}

// deviceRestart kills the device program and starts it again; what came meanwhile waits for it.
func deviceRestart(t *testing.T, s *site) {
	p := newPair(t, s)
	p.checkAll("first", 0)
	p.device.kill()
	for i := range 3 {
		p.ask(0, map[string]any{"do": "c2d", "device": "d1", "body": fmt.Sprint("waiting-", i), "properties": map[string]any{}})
	}
	p.startDevice(s)
	p.device.waitLine(`^c2d `, 3, time.Minute)
	bodies := p.device.matches(`^c2d \{"body": "([^"]*)"`)
	slices.Sort(bodies) // the SDK calls the handler from several threads
	if got := fmt.Sprint(bodies); got != "[waiting-0 waiting-1 waiting-2]" {
		t.Errorf("after the restart: %s", got)
	}
	p.checkAll("second", 0)
	p.device.interrupt(time.Minute)
	p.startDevice(s)
	p.checkAll("third", 0)
	p.wantTelemetry("first", "second", "third")
}

// emulatorKilled kills the emulator under a connected device and back end, twice; both go on by themselves.
func emulatorKilled(t *testing.T, s *site) {
	p := newPair(t, s)
	p.checkAll("first", 0)
	for i, label := range []string{"second", "third"} {
		p.hub.kill()
		p.device.waitLine(`^connection \{"connected": false\}`, i+1, time.Minute)
		p.hub.start()
		p.device.waitLine(`^connection \{"connected": true\}`, i+2, time.Minute)
		p.checkAll(label, time.Minute)
	}
	p.wantTelemetry("first", "second", "third")
}

// emulatorStopped stops the emulator as Ctrl-C does, with messages waiting for an absent device.
func emulatorStopped(t *testing.T, s *site) {
	p := newPair(t, s)
	p.checkAll("first", 0)
	p.device.kill()
	p.ask(0, map[string]any{"do": "c2d", "device": "d1", "body": "kept", "properties": map[string]any{"a": "b c"}})
	p.hub.stop()
	p.hub.start()
	p.startDevice(s)
	p.device.waitLine(`^c2d \{"body": "kept", .*"properties": \{"a": "b c"\}\}`, 1, time.Minute)
	p.checkAll("second", time.Minute)
	p.wantTelemetry("first", "second")
}
