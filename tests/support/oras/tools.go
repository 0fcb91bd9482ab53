//go:build tools

// The version of oras that the tests use, pinned with everything that it is made of.
package tools

import _ "oras.land/oras/cmd/oras"
