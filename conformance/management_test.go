//go:build conformance

package conformance

// managementScenarios are jobs, configurations and digital twins, with the service SDKs.
func managementScenarios() []scenario {
	return []scenario{
		{"python_digital_twins", []string{"python"}, single("digital_twins.py")},
		{"python_jobs", []string{"python"}, single("jobs.py")},
		{"python_configurations", []string{"python"}, single("configurations.py")},
		{"python_http_runtime", []string{"python"}, single("http_runtime.py")},
		{"node_jobs", []string{"node"}, singleNode("jobs.js")},
		{"node_configurations", []string{"node"}, singleNode("configurations.js")},
		{"node_digital_twins", []string{"node"}, singleNode("digital_twins.js")},
	}
}
