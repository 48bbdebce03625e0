//! Keys of an issuer that exists in tests alone, made with OpenSSL: the private halves in DER, base64.

/// RSA, 2048 bits, PKCS #1.
#[rustfmt::skip]
pub(crate) const RSA: &str = "\
    MIIEowIBAAKCAQEAnNWYfMRjPXZB94pPmHEyenr76Y6SbHNoqOLZE0Y6y0bH65WwI8Cu7oXW9sqiSBmL+xXAtMCgLezs\
    P2AC7+MkCGD00Ggh9FHVoMfTHAUY6DZ3qJmk9QtDoVsnpYwfevLZymesFzlLGPtGM8Q1nvgt9mDzKP7dcHUSYQAoDQnM\
    gVPIScOPoU4xx7sYF4pf8tKmLPofuUnb0Fje9jqZy6BrVPnlC8GBYbDYfcpVx3qt9itWbJmVOx67w92mK020j+oHl5/M\
    UPXyFFAQ6vX9ZVcYU4JnpZ//PanGA1rO3Bbp3LRZW06Bfz1hanMw2qpLE5+8wYA8cXwjHRM32shfdD/l7QIDAQABAoIB\
    AAMv19rxXCXuuva8ShY/B3o8DzoAofxp9cV10kJ+8MZt2O1Q30ybCOOo0w5FUwJNk88xUXc1P0UNjHJJJRpOwJwESAES\
    p2jvFvHWooXuNxuBCssIdtY7zNznwQBsdjdi3XNCqQtzVMlOaEMn2phjTUyqQlJ9ve47v6Vm/yEAWUFLvLaRjS+a+LZ9\
    G0x7LuedsohbbmGGuVlPYRE09dZdZ8zYz4G4hKPzaQv1KFBv65/otpxxXX6lK2R2dtUdsxmCAiNVZqABzEEpjNGPLvWI\
    FvNTfDoodKYWfUb+0vxn4yboWt3h+kTxSlXiusnv8t8rcUSuOJLWvVc4XbWLSABjGCcCgYEA00UQ8cLASMxBNLj2BNoE\
    MUNZGWnVWcXdlX0wJpekxluS73VovL+C6nuRUHTykuF/VvvrsCUqWmFc+wjJk25pKPb1EJUItG88ZiWMURAC10J340jb\
    QlIzrOAsRWDZTnKQbnM7ogrus4OQSf/1ErBRMsjp8IyLncFobYoWJ2MZEicCgYEAvgoZtHXC4mMexvPFwa71WeKRvgjm\
    8r3NvJumZqU5Zh2c1WYiHwfgq1RHjZwjCbD+G08aABR4AKubox7v2v4pc2igse1Q8EQkJgFATUujFe4+F5Ox/Zf30ZVu\
    p40ItgUQ82gn59tcq+D9ZGeaOSFBkzy9a91QvJQV3GXxpap7F8sCgYAbbU/x0tKboMimS4zEvHjm3FNo1TB5YxKNIZ9q\
    oy0lAyZkJ93dAw+/2SLYSxZisxuQ80t5ppmE+jbT8CQbG65TPxw5dt+WbQpuSFma/HUh9OMTgpXUWk+TFdcpepU7dewC\
    KruHIdwzOdU1hiEOuA0Shrq4G8bUSBOChPazTk4m6QKBgQCfSDP3T2TC/zVCp/uutQgsCH0DfM6l0nRoi0VTb1TGxDc5\
    ndsniyDCOWenx6COdOzm0swGGSHj3fIbLMj5EmKHusBFoZVfbJ2nxRCyOJ0+umsMs9xRo1gxMECI6urMNT7Z5Qjdir0H\
    yxJXX4aiL7+YuyZBDESpaq1QB5ocsuFtNQKBgBbvltZO1JvwDUZOvt1GfSFoDWY9i+mmtkv2RlolV+Pw7jlV7C5DzJmy\
    DGPgNWW1DkMEl1juQmPegGHUkvkqBecPJr6ktRhYx9K39QdjvJjWTpXbOtynveeU9YdV+jAMdTK2Dt25W9j6I7+crVN0\
    7sfy9RN5ZwXbjbnAgKCcqBd8\
";

/// P-256, PKCS #8.
#[rustfmt::skip]
pub(crate) const EC: &str = "\
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgrQ4sx+ZMHSPJysisT7o6UNJXzGqpYHQKAj2RdSgh6QOh\
    RANCAAScn3Y+6dmye2V0S9/U9AXguYGipATo+0nYsH/Aw/q4tgYTNXXZrZYdhAieG/eeBse31NOUVRU8PfTRdUWJoSmB\
";

/// Ed25519, PKCS #8.
#[rustfmt::skip]
pub(crate) const ED: &str = "\
    MC4CAQAwBQYDK2VwBCIEIPtqUC+/lf1GW/7aMygMWw2GGqSFtos1Fu7TA6BBA0yi\
";

/// The public halves, and a secret, which no set should have.
pub(crate) const JWKS: &str = r#"{"keys":[
    {"kty":"RSA","kid":"rsa","n":"nNWYfMRjPXZB94pPmHEyenr76Y6SbHNoqOLZE0Y6y0bH65WwI8Cu7oXW9sqiSBmL-xXAtMCgLezsP2AC7-MkCGD00Ggh9FHVoMfTHAUY6DZ3qJmk9QtDoVsnpYwfevLZymesFzlLGPtGM8Q1nvgt9mDzKP7dcHUSYQAoDQnMgVPIScOPoU4xx7sYF4pf8tKmLPofuUnb0Fje9jqZy6BrVPnlC8GBYbDYfcpVx3qt9itWbJmVOx67w92mK020j-oHl5_MUPXyFFAQ6vX9ZVcYU4JnpZ__PanGA1rO3Bbp3LRZW06Bfz1hanMw2qpLE5-8wYA8cXwjHRM32shfdD_l7Q","e":"AQAB"},
    {"kty":"EC","crv":"P-256","kid":"ec","x":"nJ92PunZsntldEvf1PQF4LmBoqQE6PtJ2LB_wMP6uLY","y":"BhM1ddmtlh2ECJ4b954Gx7fU05RVFTw99NF1RYmhKYE"},
    {"kty":"OKP","crv":"Ed25519","kid":"ed","x":"rODqJYhI78VMrPPILT70BMenBWgGaPwGkM5FtecwElY"},
    {"kty":"oct","kid":"secret","k":"c2VjcmV0"}
]}"#;
