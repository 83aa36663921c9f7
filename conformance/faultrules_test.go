//go:build conformance

package conformance

import "testing"

// faultRuleScenarios are the fault rules of the management API as the SDKs of devices and back ends meet them: a program with many rules for
// each language.
func faultRuleScenarios() []scenario {
	return []scenario{
		{"python_fault_rules", []string{"python"}, single("fault_rules.py")},
		{"node_fault_rules", []string{"node"}, singleNode("fault_rules.js")},
		{"java_fault_rules", []string{"java"}, func(t *testing.T, s *site) {
			// The device SDK wants a dot in the name.
			s.judgeItselfJava(t, s.startHub(t, "--hostname", "127.0.0.1", "--device", "d1"), "service", "FaultRules")
		}},
	}
}
