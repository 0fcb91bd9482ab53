//! The table of problems with private endpoint connections and virtual network rules.

/// What is wrong, the inside of the list, and everything that is printed.
pub(super) const ENDPOINT_PROBLEMS: &[(&str, &str, &str)] = &[
    (
        "a name that would not do in a path",
        "{ name: a/b, match: { linkId: 1 }, status: Approved }",
        "policy.yaml:5:15: `a/b` is not a private endpoint connection name
  hint: use 1 to 80 letters, digits, `.`, `_` and `-`, not marks alone",
    ),
    (
        "two names that differ in case only",
        "{ name: build, match: { linkId: 1 }, status: Approved }
    - { name: Build, match: { linkId: 2 }, status: Pending }",
        "policy.yaml:6:15: two are named `Build`
  hint: the other is at policy.yaml:5:15; case does not count",
    ),
    (
        "two connections that match the same",
        "{ name: one, match: { vpcEndpointId: vpce-1 }, status: Approved }
    - { name: two, match: { vpcEndpointId: vpce-1 }, status: Rejected }",
        "policy.yaml:6:27: two match vpcEndpointId `vpce-1`
  hint: the other is at policy.yaml:5:27",
    ),
    (
        "two spellings of one network",
        "{ name: one, match: { sourceNetwork: 10.0.0.0/8 }, status: Approved }
    - { name: two, match: { sourceNetwork: \"::ffff:10.0.0.0/104\" }, status: Rejected }",
        "policy.yaml:6:27: two match sourceNetwork 10.0.0.0/8
  hint: the other is at policy.yaml:5:27",
    ),
    (
        "a match of nothing",
        "{ name: one, match: {}, status: Approved }",
        "policy.yaml:5:27: a match says exactly one thing
  hint: write one of `vpcEndpointId`, `linkId`, `pscConnectionId`, `listener` and `sourceNetwork`",
    ),
    (
        "a match of two things",
        "{ name: one, match: { linkId: 1, listener: a }, status: Approved }",
        "policy.yaml:5:27: a match says exactly one thing
  hint: write one of `vpcEndpointId`, `linkId`, `pscConnectionId`, `listener` and `sourceNetwork`",
    ),
    (
        "an id that AWS does not make",
        "{ name: one, match: { vpcEndpointId: vpce_1 }, status: Approved }",
        "policy.yaml:5:44: `vpce_1` is not the id of a VPC endpoint
  hint: such as vpce-0abc123def4567890",
    ),
    (
        "a network with host bits",
        "{ name: one, match: { sourceNetwork: 10.0.0.1/8 }, status: Approved }",
        "policy.yaml:5:44: the address has bits set outside its prefix: `10.0.0.1/8`
  hint: write 10.0.0.0/8 for the whole network, or 10.0.0.1 for the one address",
    ),
    (
        "a description of two lines",
        "{ name: one, match: { linkId: 1 }, status: Approved, description: \"two\\nlines\" }",
        "policy.yaml:5:73: a description is one line without control characters",
    ),
];

pub(super) const VIRTUAL_NETWORK_PROBLEMS: &[(&str, &str, &str)] = &[
    (
        "a match of nothing",
        "{ name: one, match: {} }",
        "policy.yaml:6:29: a match says exactly one thing
  hint: write one of `sourceNetwork` and `listener`",
    ),
    (
        "two rules that match the same, one with a name that is none",
        "{ name: one, match: { listener: a } }
      - { name: \"t w o\", match: { listener: a } }",
        "policy.yaml:7:17: `t w o` is not a virtual network rule name
  hint: use 1 to 80 letters, digits, `.`, `_` and `-`, not marks alone
policy.yaml:7:33: two match listener `a`
  hint: the other is at policy.yaml:6:29",
    ),
    (
        "an id of something else",
        "{ name: one, id: /subscriptions/s/resourceGroups/g, match: { sourceNetwork: 10.1.0.0/16 } }",
        "policy.yaml:6:26: not the id of a subnet
  hint: such as /subscriptions/S/resourceGroups/G/providers/Microsoft.Network/virtualNetworks/V/subnets/N, or leave it out",
    ),
];
