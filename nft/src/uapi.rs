//! Numbers of the kernel's interface. Names are the kernel's; sources are
//! include/uapi/linux/netfilter/nf_tables.h, nfnetlink.h, netfilter.h and nf_conntrack_common.h.
//!
//! An unlabelled number is the one the kernel gives the constant of that name.

#![allow(missing_docs, reason = "the kernel's names say what they are")]

/// `NFNL_SUBSYS_NFTABLES`, the upper byte of every message's type.
const SUBSYSTEM: u16 = 10;

/// The type of an nf_tables message.
pub const fn message(number: u16) -> u16 {
    SUBSYSTEM << 8 | number
}

pub const BATCH_BEGIN: u16 = 0x10;
pub const BATCH_END: u16 = 0x11;
pub const BATCH_GENID: u16 = 1;
/// The resource of a batch: the subsystem it is for.
pub const BATCH_RESOURCE: u16 = SUBSYSTEM;

pub const NEWTABLE: u16 = message(0);
pub const GETTABLE: u16 = message(1);
pub const DELTABLE: u16 = message(2);
pub const NEWCHAIN: u16 = message(3);
pub const GETCHAIN: u16 = message(4);
pub const DELCHAIN: u16 = message(5);
pub const NEWRULE: u16 = message(6);
pub const GETRULE: u16 = message(7);
pub const DELRULE: u16 = message(8);
pub const NEWSET: u16 = message(9);
pub const DELSET: u16 = message(11);
pub const GETSET: u16 = message(10);
pub const NEWSETELEM: u16 = message(12);
pub const GETSETELEM: u16 = message(13);
pub const DELSETELEM: u16 = message(14);
pub const NEWGEN: u16 = message(15);
pub const GETGEN: u16 = message(16);

pub const GEN_ID: u16 = 1;
pub const GEN_PROC_NAME: u16 = 3;
pub const LIST_ELEM: u16 = 1;

pub const TABLE_NAME: u16 = 1;
pub const TABLE_FLAGS: u16 = 2;
pub const TABLE_USERDATA: u16 = 6;

pub const CHAIN_TABLE: u16 = 1;
pub const CHAIN_NAME: u16 = 3;
pub const CHAIN_HOOK: u16 = 4;
pub const CHAIN_POLICY: u16 = 5;
pub const CHAIN_USE: u16 = 6;
pub const CHAIN_TYPE: u16 = 7;
pub const HOOK_NUMBER: u16 = 1;
pub const HOOK_PRIORITY: u16 = 2;

pub const RULE_TABLE: u16 = 1;
pub const RULE_CHAIN: u16 = 2;
pub const RULE_HANDLE: u16 = 3;
pub const RULE_EXPRESSIONS: u16 = 4;
pub const RULE_COMPAT: u16 = 5;
pub const RULE_POSITION: u16 = 6;
pub const RULE_USERDATA: u16 = 7;

pub const SET_TABLE: u16 = 1;
pub const SET_NAME: u16 = 2;
pub const SET_FLAGS: u16 = 3;
pub const SET_KEY_TYPE: u16 = 4;
pub const SET_KEY_LEN: u16 = 5;
pub const SET_DATA_TYPE: u16 = 6;
pub const SET_DATA_LEN: u16 = 7;
pub const SET_DESC: u16 = 9;
pub const SET_DESC_CONCAT: u16 = 2;
pub const SET_FIELD_LEN: u16 = 1;
pub const SET_ID: u16 = 10;
pub const SET_USERDATA: u16 = 13;
pub const SET_EXPR: u16 = 17;
pub const SET_FLAG_ANONYMOUS: u32 = 1;
pub const SET_FLAG_CONSTANT: u32 = 2;
pub const SET_FLAG_INTERVAL: u32 = 4;
pub const SET_FLAG_MAP: u32 = 8;
pub const SET_FLAG_CONCAT: u32 = 0x80;

pub const ELEM_KEY: u16 = 1;
pub const ELEM_DATA: u16 = 2;
pub const ELEM_FLAGS: u16 = 3;
pub const ELEM_KEY_END: u16 = 10;
pub const ELEM_USERDATA: u16 = 6;
pub const ELEM_EXPR: u16 = 7;
pub const ELEM_LIST_TABLE: u16 = 1;
pub const ELEM_LIST_SET: u16 = 2;
pub const ELEM_LIST_ELEMENTS: u16 = 3;
pub const ELEM_LIST_SET_ID: u16 = 4;

pub const LOOKUP_SET: u16 = 1;
pub const LOOKUP_SREG: u16 = 2;
pub const LOOKUP_DREG: u16 = 3;
pub const LOOKUP_SET_ID: u16 = 4;
/// `NFT_LOOKUP_F_INV` inverts.
pub const LOOKUP_FLAGS: u16 = 5;

pub const META_DREG: u16 = 1;
pub const META_KEY: u16 = 2;
pub const META_SREG: u16 = 3;

pub const PAYLOAD_DREG: u16 = 1;
pub const PAYLOAD_BASE: u16 = 2;
pub const PAYLOAD_OFFSET: u16 = 3;
pub const PAYLOAD_LEN: u16 = 4;

pub const BITWISE_SREG: u16 = 1;
pub const BITWISE_DREG: u16 = 2;
pub const BITWISE_LEN: u16 = 3;
pub const BITWISE_MASK: u16 = 4;
pub const BITWISE_XOR: u16 = 5;
/// `NFT_BITWISE_MASK_XOR`, which is 0, unless it is there.
pub const BITWISE_OP: u16 = 6;

pub const BYTEORDER_SREG: u16 = 1;
pub const BYTEORDER_DREG: u16 = 2;
pub const BYTEORDER_LEN: u16 = 4;

pub const CMP_SREG: u16 = 1;
pub const CMP_OP: u16 = 2;
pub const CMP_DATA: u16 = 3;

pub const FIB_DREG: u16 = 1;
pub const FIB_RESULT: u16 = 2;
pub const FIB_FLAGS: u16 = 3;

pub const CT_DREG: u16 = 1;
pub const CT_KEY: u16 = 2;

pub const NAT_TYPE: u16 = 1;
pub const NAT_FAMILY: u16 = 2;
pub const NAT_REG_ADDR_MIN: u16 = 3;
pub const NAT_REG_ADDR_MAX: u16 = 4;
pub const NAT_REG_PROTO_MIN: u16 = 5;
pub const NAT_REG_PROTO_MAX: u16 = 6;
pub const NAT_FLAGS: u16 = 7;

pub const MASQ_FLAGS: u16 = 1;

pub const IMMEDIATE_DREG: u16 = 1;
pub const IMMEDIATE_DATA: u16 = 2;
/// `NFT_REG_VERDICT`
pub const REG_VERDICT: u32 = 0;

pub const EXTHDR_DREG: u16 = 1;
pub const RT_DREG: u16 = 1;
pub const SOCKET_DREG: u16 = 2;
pub const OSF_DREG: u16 = 1;
pub const XFRM_DREG: u16 = 1;
pub const HASH_DREG: u16 = 2;
pub const TUNNEL_DREG: u16 = 2;

pub const DATA_VALUE: u16 = 1;
pub const DATA_VERDICT: u16 = 2;
pub const VERDICT_CODE: u16 = 1;
pub const VERDICT_CHAIN: u16 = 2;
/// `NF_DROP`
pub const VERDICT_DROP: i32 = 0;
/// `NF_ACCEPT`, also a base chain's policy.
pub const ACCEPT: u32 = 1;
/// `NF_QUEUE`
pub const VERDICT_QUEUE: i32 = 3;
/// `NFT_JUMP`
pub const VERDICT_JUMP: i32 = -3;
/// `NFT_GOTO`
pub const VERDICT_GOTO: i32 = -4;
/// `NFT_RETURN`
pub const VERDICT_RETURN: i32 = -5;

pub const EXPR_NAME: u16 = 1;
pub const EXPR_DATA: u16 = 2;
pub const COUNTER_BYTES: u16 = 1;
pub const COUNTER_PACKETS: u16 = 2;

/// The conntrack expression's key for `NF_CT_STATE_BIT`.
pub const CT_STATE: u32 = 0;
/// The conntrack expression's key for `IPS_*`.
pub const CT_STATUS: u32 = 2;
/// `IPS_DST_NAT`: the connection's destination was translated.
pub const STATUS_DNAT: u32 = 1 << 5;

pub const META_MARK: u32 = 3;
pub const META_IIFNAME: u32 = 6;
pub const META_OIFNAME: u32 = 7;
pub const META_NFPROTO: u32 = 15;
pub const META_L4PROTO: u32 = 16;

pub const PAYLOAD_NETWORK_HEADER: u32 = 1;
pub const PAYLOAD_TRANSPORT_HEADER: u32 = 2;

pub const CMP_EQ: u32 = 0;
pub const CMP_NEQ: u32 = 1;
pub const CMP_LTE: u32 = 3;
pub const CMP_GTE: u32 = 5;

pub const NAT_DNAT: u32 = 1;
/// `NF_NAT_RANGE_MAP_IPS | NF_NAT_RANGE_PROTO_SPECIFIED`: set by the kernel from the registers given.
pub const NAT_IMPLIED_FLAGS: u32 = 3;

pub const FIB_RESULT_ADDRTYPE: u32 = 3;
/// `NFTA_FIB_F_DADDR`
pub const FIB_DADDR: u32 = 2;
/// `RTN_LOCAL` of include/uapi/linux/rtnetlink.h
pub const ADDRTYPE_LOCAL: u32 = 2;

/// `NFPROTO_UNSPEC`
pub const UNSPEC: u8 = 0;

/// `NF_INET_PRE_ROUTING`
pub const HOOK_PREROUTING: u32 = 0;
/// `NF_INET_LOCAL_IN`
pub const HOOK_INPUT: u32 = 1;
/// `NF_INET_LOCAL_OUT`
pub const HOOK_OUTPUT: u32 = 3;
/// `NF_INET_POST_ROUTING`
pub const HOOK_POSTROUTING: u32 = 4;
/// `NF_IP_PRI_RAW`, `NF_IP_PRI_NAT_DST`, `NF_IP_PRI_NAT_SRC`; the same for IPv6.
pub const PRIORITY_RAW: i32 = -300;
/// `NF_IP_PRI_MANGLE`
pub const PRIORITY_MANGLE: i32 = -150;
pub const PRIORITY_DSTNAT: i32 = -100;
pub const PRIORITY_SRCNAT: i32 = 100;
