// Package conformance holds the programs that judge the product: Microsoft's own SDKs for Python, Node.js and Java, unmodified, and
// a crash test, run against the built binary on the ports those SDKs insist on. Its tests need the build tag conformance;
// scripts/conformance runs them.
package conformance
