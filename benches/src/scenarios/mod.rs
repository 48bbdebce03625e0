//! The promises of the product, each as a program that measures whether it is kept.
