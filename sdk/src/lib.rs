//! Client, worker runtime and function host for Stanchion and Amazon SQS.
