module seawall.test/helm
go 1.26
require helm.sh/helm/v3 v3.19.0
