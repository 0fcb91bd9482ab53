//! Microsoft's `azure-containerregistry`, unmodified, signs in by exchange, pushes and pulls (`sdk.py` beside this file).

use crate::harness::registry::Distribution;
use crate::harness::sdk;

#[test]
fn microsofts_registry_sdk_signs_in_by_exchange() {
    sdk::run("identities/sdk.py", "AcrPush", Distribution::V2);
}
