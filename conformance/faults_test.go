//go:build conformance

package conformance

import "testing"

// faultScenarios are devices that ask for faults by the properties of their messages. After an AMQP connection was closed, and not
// just cut, the Node.js SDK needs 45 seconds before it tries again, so those types run beside the others.
func faultScenarios() []scenario {
	node := func(protocol, types string) func(*testing.T, *site) {
		return func(t *testing.T, s *site) {
			s.judgeItselfNode(t, s.startHub(t, "--device", "d1"), "faults.js", "FAULTS="+protocol, "TYPES="+types)
		}
	}
	const invoked = " InvokeThrottling InvokeMaxMessageQuota InvokeAuthError"
	return []scenario{
		{"python_faults", []string{"python"}, single("faults.py")},
		{"node_faults_mqtt", []string{"node"}, node("mqtt", "KillTcp ShutDownMqtt"+invoked)},
		{"node_faults_amqp", []string{"node"}, node("amqp", "KillTcp KillAmqpSession KillAmqpCBSLinkReq KillAmqpCBSLinkResp KillAmqpD2CLink "+
			"KillAmqpC2DLink KillAmqpTwinLinkReq KillAmqpTwinLinkResp KillAmqpMethodReqLink KillAmqpMethodRespLink"+invoked)},
		{"node_faults_amqp_killed", []string{"node"}, node("amqp", "KillAmqpConnection")},
		{"node_faults_amqp_shut_down", []string{"node"}, node("amqp", "ShutDownAmqp")},
		{"node_websocket_faults_mqtt", []string{"node"}, func(t *testing.T, s *site) {
			s.judgeItselfNode(t, startHubOn443(t, s), "faults.js", overWebSockets, "FAULTS=mqtt", "TYPES=KillTcp ShutDownMqtt")
		}},
		{"node_websocket_faults_amqp", []string{"node"}, func(t *testing.T, s *site) {
			s.judgeItselfNode(t, startHubOn443(t, s), "faults.js", overWebSockets, "FAULTS=amqp", "TYPES=KillTcp KillAmqpSession InvokeThrottling")
		}},
	}
}
