//go:build conformance

package conformance

import (
	"os"
	"strings"
	"testing"
)

// queueScenarios are AMQP implementations that know nothing of Azure, against a queue node on our AMQP engine.
func queueScenarios() []scenario {
	return []scenario{
		{"proton_queue", []string{"python", "proton"}, func(t *testing.T, s *site) {
			passQueue(t, s.startPython(t, queueEnv(t), "proton_queue.py"))
		}},
		{"rhea_queue", []string{"node"}, func(t *testing.T, s *site) {
			passQueue(t, s.startNode(t, queueEnv(t), "rhea_queue.js"))
		}},
	}
}

// queueEnv starts a queue node and tells a program where it is.
func queueEnv(t *testing.T) []string {
	return append(os.Environ(), "QUEUE_NODE="+startQueueNode(t), "QUEUE_USER="+queueUser, "QUEUE_PASSWORD="+queuePassword,
		"PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1")
}

func passQueue(t *testing.T, p *program) {
	t.Helper()
	p.wait(programTimeout)
	if !strings.HasSuffix(p.output(), "PASSED") {
		t.Fatalf("%s ended without saying that it passed", p.name)
	}
}
