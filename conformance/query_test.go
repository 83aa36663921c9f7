//go:build conformance

package conformance

// queryScenarios are the queries of Microsoft's service SDKs.
func queryScenarios() []scenario {
	return []scenario{
		{"python_query", []string{"python"}, single("query.py")},
		{"node_query", []string{"node"}, singleNode("query.js")},
	}
}
