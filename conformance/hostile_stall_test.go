//go:build conformance

package conformance

import "testing"

func hostileAMQP(t *testing.T, s *site)   {}
func hostileREST(t *testing.T, s *site)   {}
func hostileStalls(t *testing.T, s *site) {}
func hostileNoise(t *testing.T, s *site)  {}
