//go:build tools

// The version of helm that the tests use, pinned with everything that it is made of.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
