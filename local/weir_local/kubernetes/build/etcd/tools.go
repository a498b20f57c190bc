//go:build tools

// Package tools names what this module exists to build; go mod tidy keeps its requirements because of it.
package tools

import _ "go.etcd.io/etcd/server/v3"
