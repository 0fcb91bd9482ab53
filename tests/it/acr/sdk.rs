//! Microsoft's `azure-containerregistry`, unmodified: every method of its client (`sdk.py` beside this file).

use crate::harness::registry::Distribution;
use crate::harness::sdk;

/// S3-12…S3-16, B.1-12, B.1-13, B.8: what the SDK expects of ACR it finds in front of a plain registry.
#[test]
fn every_method_of_microsofts_client_works() {
    for distribution in Distribution::at_hand() {
        sdk::run("acr/sdk.py", "Owner", distribution);
    }
}
